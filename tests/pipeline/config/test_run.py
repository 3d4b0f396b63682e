import pytest

from components.evaluation.thresholds import DEFAULT_THRESHOLDS, SliceBounds, Threshold
from pipeline.config.run import RunConfig, load
from schema.errors import SpecError
from trainer.params import Adagrad, Adam, Cosine, Ftrl, Plateau, TrainParams

FILE = """
dataset: census
train: {model: wide, epochs: 7, hidden_units: [8]}
thresholds: {auc: {min: 0.6}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(FILE)
    return path


def test_defaults():
    assert load(None, {"dataset": "census"}, ()) == RunConfig(dataset="census")
    assert RunConfig().thresholds == DEFAULT_THRESHOLDS


def test_settings_win_over_options_and_options_over_the_file(file):
    options = {"dataset": "movielens", "train.model": "deep", "root": None, "cache": False}
    config = load(file, options, ["train.model=wide_deep", "train.batch_size=64"])

    assert config.dataset == "movielens"
    assert (config.train.model, config.train.epochs, config.train.batch_size) == ("wide_deep", 7, 64)
    assert config.train.hidden_units == (8,)
    assert (config.root, config.cache) == (RunConfig().root, False)


@pytest.fixture
def dataset(tmp_path):
    """A folder with a configuration of its own."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "features.yaml").write_text("label: clicked\n")
    (folder / "run.yaml").write_text(
        "train: {epochs: 3, deep_optimizer: {name: adam, learning_rate: 0.25}}\n"
        "models: {wide: {epochs: 9, wide_optimizer: {l1: 0.5}}, deep: {dropout: 0.4}}\n"
    )
    return folder


def test_a_dataset_brings_its_configuration(dataset):
    train = load(None, {"dataset": str(dataset)}, ()).train
    assert (train.model, train.epochs, train.dropout) == ("wide_deep", 3, TrainParams().dropout)
    assert train.deep_optimizer == Adam(learning_rate=0.25)


def test_what_is_said_of_one_model_wins_over_what_is_said_of_all(dataset):
    options = {"dataset": str(dataset), "train.model": "wide"}
    assert load(None, options, ()).train.epochs == 9
    assert load(None, options, ()).train.wide_optimizer == Ftrl(l1=0.5)
    assert load(None, options, ["train.epochs=1"]).train.epochs == 1
    assert load(None, options | {"train.model": "deep"}, ()).train.dropout == 0.4


def test_a_file_wins_over_the_datasets(dataset, file):
    config = load(file, {"dataset": str(dataset), "train.model": "wide"}, ["models.wide.dropout=0.1"])
    assert (config.train.epochs, config.train.hidden_units, config.train.dropout) == (7, (8,), 0.1)
    assert config.train.wide_optimizer == Ftrl(l1=0.5)


@pytest.mark.parametrize("settings", [[], ["thresholds=null", "train.epochs=7"], ["thresholds.auc=null"]])
def test_a_run_can_be_had_again_from_its_configuration(dataset, tmp_path, settings):
    config = load(None, {"dataset": str(dataset), "train.model": "wide"}, settings)
    (tmp_path / "again.yaml").write_text(config.as_file())
    again = load(tmp_path / "again.yaml", {}, [])
    assert again.model_copy(update={"models": {}}) == config.model_copy(update={"models": {}})


def test_another_optimizer_takes_nothing_over(dataset):
    config = load(None, {"dataset": str(dataset)}, ["train.deep_optimizer.name=adagrad"])
    assert config.train.deep_optimizer == Adagrad()


def test_a_mistake_in_what_is_said_of_a_model(dataset):
    (dataset / "run.yaml").write_text("models: {wide: {epochs: 0}}\n")
    with pytest.raises(SpecError, match=r"models\.wide\.epochs: expected a number above 0, received 0"):
        load(None, {"dataset": str(dataset)}, ())


def test_settings_are_yaml():
    settings = [
        "train.hidden_units=[64, 32]",
        "train.deep_optimizer={name: adagrad, learning_rate: 0.02}",
        "infra_check_server=docker:x",
    ]
    config = load(None, {}, settings)

    assert config.train.hidden_units == (64, 32)
    assert (config.train.deep_optimizer.name, config.train.deep_optimizer.learning_rate) == ("adagrad", 0.02)
    assert config.infra_check_server == "docker:x"


def test_a_learning_rate_alone_is_that_of_the_default_optimizer():
    config = load(None, {}, ["train.deep_optimizer.learning_rate=0.5"])
    assert (config.train.deep_optimizer.name, config.train.deep_optimizer.learning_rate) == ("adam", 0.5)


def test_a_schedule_in_a_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("train: {schedule: {name: plateau, factor: 0.1}, wide_optimizer: {name: adam, lazy: false}}\n")
    train = load(path, {}, ["train.schedule.factor=0.5"]).train
    assert train.schedule == Plateau(factor=0.5)
    assert train.wide_optimizer == Adam(lazy=False)
    assert load(path, {}, ["train.schedule.name=cosine"]).train.schedule == Cosine()


def test_one_bound_leaves_the_others_as_they_are(file):
    config = load(file, {}, ["thresholds.logloss.max_drop=null", "thresholds.gauc.min=0.5"])

    assert config.thresholds == {
        **DEFAULT_THRESHOLDS,
        "auc": Threshold(min=0.6, max_drop=DEFAULT_THRESHOLDS["auc"].max_drop),
        "logloss": Threshold(max=DEFAULT_THRESHOLDS["logloss"].max),
        "calibration": DEFAULT_THRESHOLDS["calibration"],
        "gauc": Threshold(min=0.5),
    }


@pytest.mark.parametrize(
    ("setting", "thresholds"),
    [
        ("thresholds=null", {}),
        ("thresholds.auc=null", {**DEFAULT_THRESHOLDS, "auc": Threshold()}),
        (
            "thresholds.auc.slices={city = Rome: {min: 0.5, min_rows: 20}}",
            {
                **DEFAULT_THRESHOLDS,
                "auc": DEFAULT_THRESHOLDS["auc"].model_copy(
                    update={"slices": {"city = Rome": SliceBounds(min=0.5, min_rows=20)}}
                ),
            },
        ),
    ],
)
def test_thresholds_may_be_none_or_of_slices(setting, thresholds):
    assert load(None, {}, [setting]).thresholds == thresholds


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epochs", "--set: expected KEY=VALUE such as train.epochs=3, received 'train.epochs'"),
        ("=3", "--set: expected KEY=VALUE such as train.epochs=3, received '=3'"),
        ("train.epochs=!!python/name:os.getpid",
         "--set: train.epochs: expected a YAML value such as 3 or [64, 32], received '!!python/name:os.getpid'"),
        ("train.epochs=[", "--set: train.epochs: expected a YAML value such as 3 or [64, 32], received '['"),
        ("train.epochs=ten", "configuration: train.epochs: expected a whole number, received 'ten'"),
        ("train.epochs.x=3", "configuration: train.epochs: expected a whole number, received {'x': 3}"),
        ("datset=census", "configuration: datset: expected one of the keys dataset, root, spans, train, models, tune, "
         "thresholds, gate, limits, served_items, served_contexts, refresh, infra_check_rows, infra_check_server, "
         "metadata, beam, cache, kubeflow, vertex, received 'datset'; did you mean 'dataset'?"),
        ("train.deep_optimizer.name=sgd",
         "configuration: train.deep_optimizer.name: expected one of ftrl, adagrad, adam, received 'sgd'"),
        ("train.wide_optimizer.name=foo",
         "configuration: train.wide_optimizer.name: expected one of ftrl, adagrad, adam, received 'foo'"),
        ("train.wide_optimizer=adam",
         "configuration: train.wide_optimizer: expected keys and values such as {name: adam}, received 'adam'"),
        ("train.wide_optimizer.lazy=false", "configuration: train.wide_optimizer.lazy: expected one of the keys name, "
         "learning_rate, initial_accumulator, l1, l2, received 'lazy'"),
        ("train.schedule.name=cosin", "configuration: train.schedule.name: expected one of constant, plateau, cosine, "
         "received 'cosin'; did you mean 'cosine'?"),
        ("train.schedule=plateau",
         "configuration: train.schedule: expected keys and values such as {name: plateau}, received 'plateau'"),
        ("train.schedule.factor=0.5", "configuration: train.schedule.name: expected a value, received none"),
        ("train.schedule={name: plateau, factor: 2}",
         "configuration: train.schedule.factor: expected a number below 1, received 2"),
        ("train.schedule={name: plateau, warmup_epochs: 2}",
         "configuration: train.schedule.warmup_epochs: expected one of the keys name, factor, received "
         "'warmup_epochs'"),
        ("train.cross_structure=paralel", "configuration: train.cross_structure: expected one of parallel, stacked, "
         "received 'paralel'; did you mean 'parallel'?"),
        ("train.hidden_units=[]", "configuration: train.hidden_units: expected 1 or more entries, received []"),
        ("train={tables: host, distribution: mirrored}", "configuration: train: expected 'tables: device' with "
         "'distribution: mirrored', where each has a copy, received host"),
        ("train.patience=0", "configuration: train.patience: expected a number above 0, received 0"),
        ("train.clip_norm=.inf", "configuration: train.clip_norm: expected a finite number, received inf"),
        ("train.deep_optimizer.learning_rate=.inf",
         "configuration: train.deep_optimizer.learning_rate: expected a finite number, received inf"),
        ("thresholds.auc.min=.nan", "configuration: thresholds.auc.min: expected a finite number, received nan"),
        ("thresholds.auc.slices={city: {min: .inf}}",
         "configuration: thresholds.auc.slices.city.min: expected a finite number, received inf"),
        ("limits.latency_ms=.inf", "configuration: limits.latency_ms: expected a finite number, received inf"),
        ("train.ema=1", "configuration: train.ema: expected a number below 1, received 1"),
        ("tune.space={dropuot: [0.1, 0.2]}", "configuration: tune.space: dropuot: expected a parameter of 'train' to "
         "tune, received 'dropuot'; did you mean 'dropout'?"),
        ("tune.space={dropout: [0.1, 2]}", "configuration: tune.space: dropout: expected a number below 1, received 2 "
         "(by tune.space.dropout)"),
        ("tune.space={dropout: 0.1}", "configuration: tune.space: dropout: expected a list of at least two values, or "
         "{min: ..., max: ...}, received 0.1"),
        ("tune.space={dropout: {min: 0.5, max: 0.1}}", "configuration: tune.space: dropout: expected min below "
         "max, received 0.5 and 0.1"),
        ("tune.space={dropout: {min: 0.1, mux: 0.5}}", "configuration: tune.space: dropout: mux: expected one of the "
         "keys min, max, scale, step, received 'mux'; did you mean 'max'?"),
        ("tune.trials=3", "configuration: tune.space: expected a value, received none"),
        ("infra_check_rows=0", "configuration: infra_check_rows: expected a number of at least 1, received 0"),
        ("thresholds.acu.min=0.6", "configuration: thresholds: expected one of auc, logloss, calibration, gauc, "
         "ndcg@10, accuracy, cross_entropy, rmse, mae, r2, received 'acu'; did you mean 'auc'?"),
        ("thresholds.auc.mim=0.6", "configuration: thresholds.auc.mim: expected one of the keys min, max, max_drop, "
         "confidence, slices, received 'mim'; did you mean 'min'?"),
        ("thresholds.auc.max_drop=-1",
         "configuration: thresholds.auc.max_drop: expected a number of at least 0, received -1"),
        ("thresholds.calibration.max_drop=0.1", "configuration: thresholds: expected min and max for calibration, "
         "which is best at 1, received max_drop"),
        ("thresholds.calibration.slices={city: {max_drop: 0.1}}", "configuration: thresholds: expected min and max for "
         "calibration, which is best at 1, received max_drop"),
        ("thresholds.auc={min: 0.9, max: 0.8}",
         "configuration: thresholds.auc: expected min up to max, received 0.9 and 0.8"),
        ("thresholds.auc.confidence=1",
         "configuration: thresholds.auc.confidence: expected a number below 1, received 1"),
        ("limits.latency=5", "configuration: limits.latency: expected one of the keys latency_ms, percentile, "
         "candidates, size_mb, received 'latency'; did you mean 'latency_ms'?"),
    ],
)  # fmt: skip
def test_mistakes_in_settings(setting, message):
    with pytest.raises(SpecError) as caught:
        load(None, {}, [setting])
    assert str(caught.value) == message


def test_every_mistake_in_a_file_has_a_line_that_names_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("train: {epochs: 0}\ncahce: true\n")
    with pytest.raises(SpecError) as caught:
        load(path, {}, ())
    epochs, cache = str(caught.value).splitlines()
    assert epochs == f"{path}: train.epochs: expected a number above 0, received 0"
    assert cache.startswith(f"{path}: cahce: expected one of the keys ")
    assert cache.endswith("received 'cahce'; did you mean 'cache'?")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: expected a file, found none"):
        load(tmp_path / "none.yaml", {}, ())
