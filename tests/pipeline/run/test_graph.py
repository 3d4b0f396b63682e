"""The wiring of the graph, without running it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.dsl.components.common.resolver import Resolver

from components.descriptions import DESCRIPTIONS
from components.evaluation.thresholds import Threshold
from pipeline.config.run import RunConfig, load
from pipeline.config.spans import SpanParams
from pipeline.run import code
from pipeline.run.code import code_version
from pipeline.run.graph import create_pipeline
from schema.dataset import find
from schema.errors import SpecError


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "features.yaml").write_text("label: clicked\n")
    (folder / "log.csv").write_text("clicked,user\n1,ann\n0,bob\n")
    return find(folder)


def components(config, dataset):
    return {component.id: component for component in create_pipeline(config, dataset).components}


@pytest.fixture
def changed_source(tmp_path, monkeypatch):
    """Changes a file of a copy of our sources, which is digested instead of these."""
    for folder in ("schema", "components", "trainer", "serving", "pipeline"):
        shutil.copytree(code._SOURCES / folder, tmp_path / "sources" / folder)
    monkeypatch.setattr(code, "_SOURCES", tmp_path / "sources")

    def change(source: str) -> None:
        with (tmp_path / "sources" / source).open("a") as file:
            file.write("# changed\n")

    return change


IN_ANY_CASE = {"Report"}
"""It says how and by which code all was done."""


def test_nothing_is_trained_on_data_before_it_is_validated(dataset):
    chain = components(RunConfig(), dataset)
    assert chain["ExampleValidator"] in chain["Transform"].upstream_nodes
    assert chain["Transform"] in chain["Trainer"].upstream_nodes


@pytest.fixture
def spans(tmp_path):
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "features.yaml").write_text("{label: clicked, source: {files: '{SPAN}.csv'}}")
    for span in (1, 2, 4):
        (folder / f"{span}.csv").write_text("clicked,user\n1,ann\n0,bob\n")
    return folder


def test_nothing_is_trained_on_spans_before_they_are_compared(spans):
    chain = components(RunConfig(), find(spans, "4", 3))
    assert chain["DriftValidator"] in chain["Transform"].upstream_nodes
    assert chain["ExampleValidator"] in chain["DriftValidator"].upstream_nodes
    compared = chain["DriftValidator"].exec_properties
    assert (compared["span"], compared["span_before"]) == ("4", "2")
    assert [spans / "2.csv", spans / "4.csv"] == [
        Path(path) for name in ("files_before", "files") for path in json.loads(compared[name])["files"]["all"]
    ]
    assert (chain["ExampleGen"].exec_properties["span"], chain["ExampleGen"].exec_properties["span_name"]) == (4, "4")


def test_the_first_span_is_compared_with_none(spans):
    assert components(RunConfig(), find(spans, "1"))["DriftValidator"].exec_properties["span_before"] == ""


def test_only_columns_can_drift(spans):
    config = RunConfig(spans=SpanParams(max_drift={"usr": 0.1, "_label": 0.1}))
    with pytest.raises(SpecError, match=r"spans\.max_drift: expected columns of days \(user, _label\), received 'usr'; "
                       r"did you mean 'user'\?"):  # fmt: skip
        create_pipeline(config, find(spans))


def test_nothing_is_pushed_before_it_is_evaluated_and_served(dataset):
    chain = components(RunConfig(), dataset)
    assert {chain["Trainer"], chain["Evaluator"], chain["InfraCheck"]} <= set(chain["Pusher"].upstream_nodes)
    assert chain["Evaluator"] in chain["InfraCheck"].upstream_nodes


def test_the_report_comes_last(dataset):
    chain = create_pipeline(RunConfig(), dataset).components
    assert chain[-1].id == "Report"
    assert {"Evaluator", "InfraCheck", "Pusher"} <= {node.id for node in chain[-1].upstream_nodes}


def test_the_test_split_is_for_the_evaluator_alone(dataset):
    chain = components(RunConfig(), dataset)
    assert '"test"' not in str(chain["Transform"].exec_properties["splits_config"])
    assert chain["Evaluator"].exec_properties["example_splits"] == '["test"]'


def test_a_change_of_the_data_makes_example_gen_run_again(dataset):
    before = components(RunConfig(), dataset)["ExampleGen"].exec_properties
    with (dataset.folder / "log.csv").open("a") as file:
        file.write("1,cleo\n")
    after = components(RunConfig(), find(dataset.folder))["ExampleGen"].exec_properties
    assert {name for name in before if before[name] != after[name]} == {"files"}


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("train.epochs=3", {"Trainer"}),
        ("thresholds.auc.min=0.6", {"Evaluator"}),
        ("limits.size_mb=5", {"InfraCheck"}),
        ("infra_check_rows=5", {"InfraCheck"}),
        ("infra_check_server=docker:tensorflow/serving:2.20.0", {"InfraCheck"}),
        ("cache=false", set()),
    ],
)
def test_a_setting_makes_its_component_run_again_and_no_other(dataset, setting, changed):
    options = {"dataset": str(dataset.folder)}
    default, other = (components(load(None, options, settings), dataset) for settings in ([], [setting]))
    assert {
        name for name in default if default[name].exec_properties != other[name].exec_properties
    } == changed | IN_ANY_CASE


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("components/example_gen.py", {"ExampleGen", "Transform"}),
        ("components/statistics_gen.py", {"StatisticsGen"}),
        ("components/schema_gen.py", {"SchemaGen"}),
        ("components/example_validator.py", {"ExampleValidator"}),
        ("trainer/vocabulary.py", {"Transform", "Trainer", "Evaluator"}),
        ("trainer/models/wide.py", {"Trainer"}),
        ("components/evaluation/metrics/binary.py", {"Evaluator"}),
        ("components/evaluation/metrics/registry.py", {"Evaluator", "InfraCheck"}),
        ("components/evaluation/metrics/lists.py", {"Evaluator"}),
        ("components/evaluation/tfma_metrics.py", {"Evaluator"}),
        ("components/evaluation/thresholds.py", {"Evaluator", "InfraCheck"}),
        ("components/evaluation/verdict.py", {"Evaluator", "InfraCheck"}),
        ("components/evaluation/evaluated_rows.py", {"Evaluator"}),
        ("components/example_batches.py", {"StatisticsGen", "Transform", "Evaluator"}),
        ("components/infra_check.py", {"InfraCheck"}),
        ("components/report/page.py", set()),
        ("components/model_servers.py", {"InfraCheck"}),
        ("trainer/raw_columns.py", {"Trainer", "Evaluator", "InfraCheck"}),
        ("serving/server/predict.py", {"InfraCheck"}),
        ("pipeline/cli.py", set()),
    ],
)
def test_a_change_of_our_code_makes_what_calls_it_run_again(dataset, changed_source, source, changed):
    before = components(RunConfig(), dataset)
    changed_source(source)
    after = components(RunConfig(), dataset)
    assert {
        name for name in before if before[name].exec_properties != after[name].exec_properties
    } == changed | IN_ANY_CASE


def test_every_component_but_the_pusher_has_a_version_of_its_code(dataset, spans):
    """The Pusher runs always."""
    config = load(None, {"train.warm_start": True}, ["tune.space={dropout: [0.1, 0.2]}"])
    for chain in (components(config, dataset), components(config, find(spans, "4", 3))):
        for name, component in chain.items():
            properties = component.exec_properties
            versions = str([properties.get("code"), properties.get("custom_config")])
            is_ours = not isinstance(component, Resolver) and name != "Pusher"
            assert bool(re.search("[0-9a-f]{16}", versions)) == is_ours, name


def test_every_component_is_described(dataset, spans, tmp_path):
    config = load(None, {"train.warm_start": True}, ["tune.space={dropout: [0.1, 0.2]}"])
    chain = components(config, dataset) | components(config, find(spans, "4", 3))
    (tmp_path / "features.yaml").write_text("label: y\nranking: {group: user, item: book}\n")
    (tmp_path / "log.csv").write_text("user,book,y\nann,b1,1\nbob,b2,0\n")
    chain |= components(RunConfig(refresh=True), find(tmp_path))
    assert chain.keys() == DESCRIPTIONS.keys()
    for name, component in chain.items():
        by_beam = isinstance(getattr(component, "executor_spec", None), BeamExecutorSpec)
        assert DESCRIPTIONS[name].beam == by_beam, name


def test_only_models_of_rankings_are_refreshed(dataset):
    with pytest.raises(SpecError, match="refresh: expected a dataset with a ranking, received one without"):
        create_pipeline(RunConfig(refresh=True), dataset)


def test_another_version_of_a_library_makes_all_run_again(dataset, monkeypatch):
    before = components(RunConfig(), dataset)
    libraries = [*code._libraries(), "new_library-1.0.dist-info"]
    monkeypatch.setattr(code, "_libraries", lambda: libraries)
    after = components(RunConfig(), dataset)
    unchanged = {name for name in before if before[name].exec_properties == after[name].exec_properties}
    assert unchanged == {"LatestBlessedModel", "Pusher"}


def test_parameters_are_searched_for_and_an_earlier_model_is_found_before_the_training(dataset):
    config = load(None, {"train.warm_start": True}, ["tune.space={dropout: [0.1, 0.2]}"])
    chain = components(config, dataset)
    assert {chain["Tuner"], chain["EarlierModel"]} <= set(chain["Trainer"].upstream_nodes)
    assert {"Tuner", "EarlierModel"}.isdisjoint(components(RunConfig(), dataset))


def test_more_trials_make_the_tuner_run_again_and_no_other(dataset):
    few, many = (
        components(load(None, {}, ["tune.space={dropout: [0.1, 0.2]}", f"tune.trials={trials}"]), dataset)
        for trials in (2, 3)
    )
    assert {name for name in few if few[name].exec_properties != many[name].exec_properties} == {"Tuner"} | IN_ANY_CASE


def test_beam_is_given_what_is_configured(dataset):
    config = load(None, {}, ["beam={name: flink, job_endpoint: 'flink:8099', image: shop}"])
    assert create_pipeline(config, dataset).beam_pipeline_args == config.beam.arguments()


def test_an_unknown_model_is_refused_before_anything_runs(dataset):
    with pytest.raises(
        SpecError, match=r"^train\.model: expected one of .*received 'wide_dep'; did you mean 'wide_deep'"
    ):
        create_pipeline(load(None, {"train.model": "wide_dep"}, ()), dataset)


def test_what_has_not_two_classes_is_not_calibrated(dataset):
    number = dataset.spec.model_copy(update={"label": dataset.spec.label.model_copy(update={"number": True})})
    config = load(None, {}, ["train.calibration=platt"])
    create_pipeline(config, dataset)
    with pytest.raises(SpecError, match=r"train\.calibration: expected 'none' for a label .* received 'platt'"):
        create_pipeline(config, replace(dataset, spec=number))


def test_a_root_in_which_tfx_would_find_nothing(dataset, tmp_path):
    with pytest.raises(SpecError, match=r"^root: expected a path without .*, received .*/runs \[new\]$"):
        create_pipeline(RunConfig(root=tmp_path / "runs [new]"), dataset)


def test_a_threshold_for_a_metric_that_the_dataset_cannot_have_is_a_mistake(dataset):
    config = RunConfig(thresholds={"gauc": Threshold(min=0.5)})
    with pytest.raises(SpecError, match=r"thresholds\.gauc: expected .* 'ranking' .*received none"):
        create_pipeline(config, dataset)


def test_code_versions_go_by_names_and_contents_of_sources(changed_source):
    before = code_version("components.example_gen")
    assert code_version("components.example_gen") == before
    changed_source("components/pusher.py")
    assert code_version("components.example_gen") == before
    changed_source("schema/conversion.py")  # imported by what it imports
    assert code_version("components.example_gen") != before
    assert code_version("schema.errors") != code_version("schema.times")
