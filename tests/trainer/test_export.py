"""The SavedModel gives the same answers as the model in memory, in every signature."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from schema.feature_spec import LABEL, MISSING
from trainer import export, inputs, item_catalogue, models
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.item_table import ItemTable
from trainer.models.joint import Joint
from trainer.params import TrainParams

DTYPES = {"user": np.int64, "movie": object, "price in €": np.float32, "age": np.float32}
NO_VALUE = {"user": MISSING["integer"], "movie": "", "price in €": math.nan, "age": math.nan}
ITEM = ("movie", "genres", "price in €")

Call = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def model(toy) -> Joint:
    """With random weights everywhere, the wide part's and the bias included."""
    keras.utils.set_random_seed(0)
    model = models.build(toy.columns, TrainParams(hidden_units=(8,)))
    for index, variable in enumerate(model.trainable_variables):
        variable.assign(tf.random.stateless_normal(variable.shape, seed=[0, index]))
    return model


@pytest.fixture(scope="module")
def path(toy, model: Joint, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("export") / "model"
    ServedModel(model, Logistic(), toy.spec, toy.transform_output).save(str(path))
    return str(path)


def caller(path: str) -> Call:
    """Calls a signature the way TF Serving does: a session, and the tensors that the signature names."""
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        signatures = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], path).signature_def

    def call(name: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        signature = signatures[name]
        assert set(values) == set(signature.inputs)
        feed = {signature.inputs[key].name: value for key, value in values.items()}
        return session.run({key: info.name for key, info in signature.outputs.items()}, feed)

    return call


@pytest.fixture(scope="module")
def call(path: str) -> Call:
    return caller(path)


def serialized(toy, rows: list[dict]) -> np.ndarray:
    return np.array([toy.example({k: v for k, v in row.items() if k != LABEL}) for row in rows], object)


def tensors(rows: list[dict]) -> dict[str, np.ndarray]:
    """The inputs of `rank`."""
    columns = {name: np.array([row.get(name, NO_VALUE[name]) for row in rows], dtype) for name, dtype in DTYPES.items()}
    length = max(len(row["genres"]) for row in rows)
    columns["genres"] = np.array([row["genres"] + [""] * (length - len(row["genres"])) for row in rows], object)
    return columns


@pytest.fixture(scope="module")
def logits(toy, model: Joint) -> np.ndarray:
    """The model's own, of the rows that Transform gave."""
    rows = toy.rows["test"]
    examples = inputs.read(toy.files("test"), model.columns, weighted=False, memory_bytes=1 << 20)
    ((features, _, _),) = examples.in_order(len(rows))
    return model(features, training=False).numpy()[:, 0]


def test_serving_default(toy, call: Call, logits: np.ndarray) -> None:
    outputs = call("serving_default", {"examples": serialized(toy, toy.rows["test"])})
    assert set(outputs) == {"logit", "probability"}
    assert outputs["logit"].shape == (len(toy.rows["test"]),)
    assert np.std(logits) > 1
    np.testing.assert_allclose(outputs["logit"], logits, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(outputs["probability"], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_rank_equals_serving_default(toy, call: Call) -> None:
    rows = toy.rows["test"]
    by_example = call("serving_default", {"examples": serialized(toy, rows)})
    by_column = call("rank", tensors(rows))
    np.testing.assert_allclose(by_column["logit"], by_example["logit"], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(by_column["probability"], by_example["probability"], atol=1e-6)


def test_rank_one_user_among_candidates(toy, call: Call) -> None:
    """What the rows have in common is sent once."""
    user, candidates = toy.rows["test"][0], toy.rows["test"][1:9]
    rows = [{name: row[name] for name in ITEM if name in row} for row in candidates]
    columns = tensors([{**row, "user": user["user"], "age": user["age"]} for row in rows])
    whole = call("rank", columns)
    once = call("rank", columns | {name: columns[name][:1] for name in ("user", "age")})
    np.testing.assert_allclose(once["logit"], whole["logit"], atol=1e-5, rtol=1e-5)
    assert len(set(once["logit"].tolist())) > 1


def test_rank_one_candidate_for_many_users(toy, call: Call) -> None:
    """A multi-valent column can be what the rows have in common."""
    rows = [{**toy.rows["test"][0], "user": user, "genres": ["war", "drama"]} for user in range(5)]
    columns = tensors(rows)
    once = call("rank", columns | {name: columns[name][:1] for name in (*ITEM, "age")})
    np.testing.assert_allclose(once["logit"], call("rank", columns)["logit"], atol=1e-5, rtol=1e-5)


def test_rank_nothing(toy, call: Call) -> None:
    columns = tensors(toy.rows["test"][:2])
    nothing = columns | {name: columns[name][:0] for name in ITEM} | {n: columns[n][:1] for n in ("user", "age")}
    assert call("rank", nothing)["logit"].shape == (0,)


@pytest.mark.parametrize("row", [{}, {"movie": "movie 1"}, {"user": 3, "genres": ["war", "unheard of"]}])
def test_missing_and_unknown_values_are_no_errors(toy, call: Call, row: dict) -> None:
    by_example = call("serving_default", {"examples": serialized(toy, [row])})
    by_column = call("rank", tensors([{"genres": [], **row}]))
    assert np.isfinite(by_example["logit"]).all()
    np.testing.assert_allclose(by_column["logit"], by_example["logit"], atol=1e-5, rtol=1e-5)


def test_padding_is_no_genre(toy, call: Call) -> None:
    columns = tensors(toy.rows["test"][:4])
    longer = columns | {"genres": np.pad(columns["genres"], ((0, 0), (0, 3)), constant_values="")}
    np.testing.assert_allclose(call("rank", longer)["logit"], call("rank", columns)["logit"], atol=1e-6)


def test_classify_and_regress(toy, call: Call) -> None:
    examples = serialized(toy, toy.rows["test"][:7])
    probability = call("serving_default", {"examples": examples})["probability"]
    classes = call("classify", {"inputs": examples})
    assert classes["classes"].tolist() == [[b"0", b"1"]] * 7
    np.testing.assert_allclose(classes["scores"], np.stack([1 - probability, probability], axis=1), atol=1e-7)
    np.testing.assert_array_equal(call("regress", {"inputs": examples})["outputs"], probability)


def test_method_names(path: str) -> None:
    """TF Serving refuses to classify or regress by a signature that does not say it is for that."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], path).signature_def
    methods = {name: signature.method_name.rpartition("/")[2] for name, signature in signatures.items()}
    methods.pop("__saved_model_init_op")
    assert methods == {
        "serving_default": "predict",
        "rank": "predict",
        "transform_features": "predict",
        "classify": "classify",
        "regress": "regress",
    }


def test_transform_features(toy, call: Call, model: Joint) -> None:
    rows = toy.rows["test"]
    outputs = call("transform_features", {"examples": serialized(toy, rows)})
    assert set(outputs) == {column.name for column in model.columns}
    examples = inputs.read(toy.files("test"), model.columns, weighted=False, memory_bytes=1 << 20)
    ((features, _, _),) = examples.in_order(len(rows))
    for name, values in features.items():
        np.testing.assert_allclose(outputs[name], values, rtol=1e-6)


def test_it_loads_in_tensorflow_2(toy, path: str, logits: np.ndarray) -> None:
    signature = tf.saved_model.load(path).signatures["serving_default"]
    outputs = signature(examples=tf.constant(serialized(toy, toy.rows["test"])))
    np.testing.assert_allclose(outputs["logit"], logits, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["user", "movie_2"], ["user", "movie_2"]),
        (["user", "home town"], ["column_0", "column_1"]),
        (["class"], ["column_0"]),
        (["größe"], ["column_0"]),
        (["1st"], ["column_0"]),
    ],
)
def test_argument_names(columns: list[str], expected: list[str]) -> None:
    assert export._argument_names(columns) == dict(zip(columns, expected, strict=True))


def test_a_model_of_fewer_columns_reads_fewer(toy, tmp_path: Path) -> None:
    """A deep model does not need the crosses, and its signature still takes every raw column."""
    deep = models.build(toy.columns, TrainParams(model="deep", hidden_units=(4,)))
    ServedModel(deep, Logistic(), toy.spec, toy.transform_output).save(str(tmp_path / "deep"))
    loaded = tf.saved_model.load(str(tmp_path / "deep"))
    assert set(loaded.signatures["transform_features"].structured_outputs) == {c.name for c in deep.columns}
    assert len(loaded.signatures["rank"].structured_input_signature[1]) == len(toy.spec.input_columns)


def test_no_lookup_keeps_its_function_from_being_inlined(toy, path: str) -> None:
    saved_model = saved_model_pb2.SavedModel.FromString(Path(path, "saved_model.pb").read_bytes())
    functions = saved_model.meta_graphs[0].graph_def.library.function
    looking_up = [each for each in functions if any(node.op.startswith("LookupTableFind") for node in each.node_def)]
    assert looking_up
    for function in looking_up:
        # TensorFlow's own functions wait for the lookups, or for identities behind them.
        assert function.control_ret
        assert sorted(function.signature.control_output) == sorted(function.control_ret)


CONTEXT = ("user", "age")


@pytest.fixture(scope="module")
def items(toy) -> dict[str, np.ndarray]:
    """Every movie as it was seen last, as the inputs of `rank`."""
    latest = {row["movie"]: row for rows in toy.rows.values() for row in rows if "movie" in row}
    columns = tensors(list(latest.values()))
    return {name: columns[name] for name in ITEM}


@pytest.fixture(scope="module")
def knowing(toy, model: Joint, items: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Call:
    """A model that knows the movies, as `call`."""
    path = tmp_path_factory.mktemp("export") / "knowing"
    titles = np.array([movie.upper() for movie in items["movie"]], object)
    ServedModel(model, Logistic(), toy.spec, toy.transform_output, ItemTable(items, titles)).save(str(path))
    return caller(str(path))


@pytest.fixture(scope="module")
def context(toy) -> dict[str, np.ndarray]:
    columns = tensors(toy.rows["test"][:1])
    return {name: columns[name] for name in CONTEXT}


def test_items_by_their_ids(knowing: Call, context, items) -> None:
    by_column = knowing("rank", {**context, **items})
    places = [3, 0, 3, 7]
    by_id = knowing("rank_ids", {**context, "items": items["movie"][places]})
    assert by_id["known"].all()
    np.testing.assert_allclose(by_id["logit"], by_column["logit"][places], atol=1e-5, rtol=1e-5)
    assert np.ptp(by_column["logit"]) > 1


def test_an_id_that_the_catalogue_lacks(knowing: Call, context, items) -> None:
    """It gets what an item gets of which nothing is known."""
    asked = {**context, "items": np.array(["movie 3", "no movie"], object)}
    by_id = knowing("rank_ids", asked)
    assert by_id["known"].tolist() == [True, False]
    nothing = tensors([{"movie": "no movie", "genres": []}])
    unknown = knowing("rank", {**context, **{name: nothing[name] for name in ITEM}})
    np.testing.assert_allclose(by_id["logit"][1], unknown["logit"][0], atol=1e-5, rtol=1e-5)


def test_no_ids(knowing: Call, context) -> None:
    assert knowing("rank_ids", {**context, "items": np.array([], object)})["logit"].shape == (0,)


def recommended(knowing: Call, context, k: int, exclude: list[str]) -> dict[str, np.ndarray]:
    return knowing("recommend", {**context, "k": np.int32(k), "exclude": np.array(exclude, object)})


def test_the_best_of_the_catalogue(knowing: Call, context, items) -> None:
    logits = knowing("rank", {**context, **items})["logit"]
    order = np.argsort(-logits, kind="stable")[:5]
    found = recommended(knowing, context, 5, [])
    assert found["items"].tolist() == [movie.encode() for movie in items["movie"][order]]
    assert found["titles"].tolist() == [movie.upper().encode() for movie in items["movie"][order]]
    np.testing.assert_allclose(found["logit"], logits[order], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-logits[order])), atol=1e-5)


def test_what_is_excluded_is_not_recommended(knowing: Call, context, items) -> None:
    first, second, third = recommended(knowing, context, 3, [])["items"].tolist()
    assert recommended(knowing, context, 1, [first.decode(), second.decode(), "no movie"])["items"].tolist() == [third]
    everything = recommended(knowing, context, len(items["movie"]), [])["items"].tolist()
    assert recommended(knowing, context, 5, [item.decode() for item in everything])["items"].shape == (0,)


def test_no_more_than_there_are(knowing: Call, context, items) -> None:
    assert len(recommended(knowing, context, 10_000, [])["items"]) == len(items["movie"])


def test_a_catalogue_in_pieces(
    toy, model: Joint, items, context, knowing: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a piece of four items, and with items that the model cannot tell apart: the first come first."""
    monkeypatch.setattr(item_catalogue, "_ROWS_AT_ONCE", 4)
    twice = {name: np.concatenate([values, values]) for name, values in items.items()}
    twice["movie"] = np.array([f"movie {100 + place}" for place in range(len(twice["movie"]))], object)
    model_of_twins = ServedModel(model, Logistic(), toy.spec, toy.transform_output, ItemTable(twice))
    model_of_twins.save(str(tmp_path / "model"))
    logits = caller(str(tmp_path / "model"))("rank", {**context, **twice})["logit"]
    order = np.argsort(-logits, kind="stable")[:9]
    found = recommended(caller(str(tmp_path / "model")), context, 9, [])
    assert found["items"].tolist() == [movie.encode() for movie in twice["movie"][order]]
    assert set(found) == {"items", "logit", "probability"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": np.int32(0)}, r"k: expected 1 to 10,000, received\] \[0"),
        ({"k": np.int32(10_001)}, r"k: expected 1 to 10,000, received\] \[10001"),
        (
            {"exclude": np.array(["x"] * 100, object)},
            "exclude: expected no more ids than the catalogue has, 30, received",
        ),
        ({"user": np.array([1, 2])}, "context: expected one row of each column, received"),
        ({"age": np.array([], np.float32)}, "context: expected one row of each column, received"),
    ],
)
def test_what_cannot_be_recommended(knowing: Call, context, change, message: str) -> None:
    asked = {**context, "k": np.int32(3), "exclude": np.array([], object)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        knowing("recommend", {**asked, **change})


@pytest.fixture(scope="module")
def acquainted(
    toy, model: Joint, items: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Call, str]:
    """A model that knows two users, as `call`, and its path."""
    path = str(tmp_path_factory.mktemp("export") / "acquainted")
    contexts = {"user": np.array([1, 2]), "age": np.array([30, 60], np.float32)}
    ServedModel(model, Logistic(), toy.spec, toy.transform_output, ItemTable(items), contexts).save(path)
    return caller(path), path


LEFT_OUT = np.array([], np.float32)


@pytest.mark.parametrize(
    ("user", "given", "meant"), [(2, LEFT_OUT, 60), (1, LEFT_OUT, 30), (2, [7], 7), (2, [math.nan], math.nan),
                                 (9, LEFT_OUT, math.nan), (9, [7], 7)],
)  # fmt: skip
def test_a_column_that_is_left_out_is_the_groups_latest(acquainted, knowing: Call, items, user, given, meant) -> None:
    asked = {"user": np.array([user]), "age": np.array(given, np.float32)}
    whole = {**asked, "age": np.array([meant], np.float32)}
    call, _ = acquainted
    ids = {"items": items["movie"]}
    np.testing.assert_array_equal(
        call("rank_ids", {**asked, **ids})["logit"], knowing("rank_ids", {**whole, **ids})["logit"]
    )
    short, full = recommended(call, asked, 4, []), recommended(knowing, whole, 4, [])
    assert short["items"].tolist() == full["items"].tolist()
    np.testing.assert_array_equal(short["logit"], full["logit"])


def test_a_row_for_each_of_several_groups(acquainted, knowing: Call, items) -> None:
    users, ids = np.array([2, 9, 1]), items["movie"][:3]
    call, _ = acquainted
    short = call("rank_ids", {"user": users, "age": LEFT_OUT, "items": ids})
    ages = np.array([60, math.nan, 30], np.float32)
    np.testing.assert_array_equal(
        short["logit"], knowing("rank_ids", {"user": users, "age": ages, "items": ids})["logit"]
    )


def test_only_the_group_has_no_default(acquainted, path: str) -> None:
    _, acquainted_path = acquainted
    signatures = saved_model_pb2.SavedModel.FromString(Path(acquainted_path, "saved_model.pb").read_bytes())
    definitions = signatures.meta_graphs[0].signature_def
    assert {name: set(each.defaults) for name, each in definitions.items() if each.defaults} == {
        "rank_ids": {"age"},
        "recommend": {"age", "k", "exclude"},
    }


def test_a_request_needs_its_group(acquainted) -> None:
    call, _ = acquainted
    nothing = {"user": np.array([], np.int64), "age": LEFT_OUT, "k": np.int32(3), "exclude": np.array([], object)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="context: expected one row of each column, received"):
        call("recommend", nothing)


def test_a_ranking_without_a_context_is_not_asked_by_ids(toy, model: Joint, items, tmp_path: Path) -> None:
    everything = toy.spec.ranking.model_copy(update={"item_columns": [*ITEM[1:], *CONTEXT]})
    spec = toy.spec.model_copy(update={"ranking": everything})
    served = ServedModel(model, Logistic(), spec, toy.transform_output, ItemTable(items))
    assert served.known() == {}
    assert not {"rank_ids", "recommend"} & set(served.save(str(tmp_path / "model")))
