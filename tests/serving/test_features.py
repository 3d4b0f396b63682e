"""Named feature values to the tensors of a raw-tensor signature."""

import numpy as np
import pytest
from tensorflow.core.framework import tensor_shape_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from schema.features import MISSING
from serving.features import Column, FeatureError, columns_of, number_of, to_tensors

MISSING_INT = -(2**63)


def signature(**inputs: tuple[int, int]) -> meta_graph_pb2.SignatureDef:
    """Each input's type and number of dimensions."""
    definition = meta_graph_pb2.SignatureDef()
    for name, (dtype, dimensions) in inputs.items():
        shape = tensor_shape_pb2.TensorShapeProto(dim=[{"size": -1}] * dimensions)
        definition.inputs[name].CopyFrom(meta_graph_pb2.TensorInfo(name=name, dtype=dtype, tensor_shape=shape))
    return definition


SIGNATURE = signature(
    user=(types_pb2.DT_STRING, 1),
    age=(types_pb2.DT_FLOAT, 1),
    item=(types_pb2.DT_INT64, 1),
    genres=(types_pb2.DT_STRING, 2),
    ratings=(types_pb2.DT_FLOAT, 2),
)
COLUMNS = columns_of(SIGNATURE)


def tensors(context, candidates):
    return {name: array.tolist() for name, array in to_tensors(COLUMNS, context, candidates).items()}


def test_missing_values_are_those_of_the_schema():
    """What a model takes for missing is decided there."""
    rows = [Column("x", name, multivalent=False).missing for name in ("string", "int64", "float32")]

    np.testing.assert_array_equal([row.tolist()[0] for row in rows[1:]], [MISSING["integer"], MISSING["float"]])
    assert rows[0].tolist() == [str(MISSING["string"]).encode()]


def test_columns_are_read_from_the_signature():
    columns = columns_of(SIGNATURE)

    assert columns == {
        "age": Column("age", "float32", multivalent=False),
        "genres": Column("genres", "string", multivalent=True),
        "item": Column("item", "int64", multivalent=False),
        "ratings": Column("ratings", "float32", multivalent=True),
        "user": Column("user", "string", multivalent=False),
    }


def test_context_has_one_row_candidates_have_one_each_and_the_rest_is_missing():
    result = to_tensors(
        COLUMNS, {"user": "ann", "genres": ["Drama", b"War"]}, {"item": [3, None, 5], "age": [1, 2.5, 3]}
    )

    assert result["user"].tolist() == [b"ann"]
    assert result["genres"].tolist() == [[b"Drama", b"War"]]
    assert result["item"].tolist() == [3, MISSING_INT, 5]
    assert result["age"].tolist() == [1.0, 2.5, 3.0]
    np.testing.assert_array_equal(result["ratings"], [[np.nan]])
    assert {name: array.dtype.name for name, array in result.items()} == {
        "age": "float32",
        "genres": "object",
        "item": "int64",
        "ratings": "float32",
        "user": "object",
    }


def test_rows_with_fewer_values_are_filled_up():
    result = tensors({}, {"genres": [["Drama"], None, ["War", None, "Noir"]]})

    assert result["genres"] == [[b"Drama", b"", b""], [b"", b"", b""], [b"War", b"", b"Noir"]]
    assert result["user"] == [b""]
    assert result["item"] == [MISSING_INT]


def test_rows_without_any_value_have_a_missing_one():
    assert tensors({}, {"genres": [[], []]})["genres"] == [[b""], [b""]]


def test_no_candidates_are_tensors_without_rows():
    shapes = {name: array.shape for name, array in to_tensors(COLUMNS, {}, {"item": [], "genres": []}).items()}

    assert shapes == {"item": (0,), "genres": (0, 1), "user": (1,), "age": (1,), "ratings": (1, 1)}


def test_numpy_values_are_as_good_as_pythons():
    result = to_tensors(
        COLUMNS,
        {"age": np.float64(3), "genres": np.array(["Drama"])},
        {"item": np.array([1, 2], np.int32), "user": np.array([b"a", "é"], object), "ratings": np.ones([2, 2])},
    )

    assert result["age"].tolist() == [3.0]
    assert result["genres"].tolist() == [[b"Drama"]]
    assert result["item"].tolist() == [1, 2]
    assert result["user"].tolist() == [b"a", "é".encode()]
    assert result["ratings"].tolist() == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("context", "candidates", "message"),
    [
        (
            {"usr": "ann"},
            {"item": [1]},
            "feature 'usr': expected one of the model's inputs age, genres, item, ratings, user, received another; "
            "did you mean 'user'?",
        ),
        ({}, {"zzz": [1]}, "feature 'zzz': expected one of the model's inputs age, genres, item, ratings, user, "
                           "received another"),
        ({"item": 1}, {"item": [1]}, "feature 'item': expected in the context or in the candidates, received in both"),
        ({}, {"item": [1, "b"]}, "feature 'item', candidate 1: expected int64, received str ('b')"),
        ({}, {"item": [1.0]}, "feature 'item', candidate 0: expected int64, received float (1.0)"),
        ({}, {"item": [True]}, "feature 'item', candidate 0: expected int64, received bool (True)"),
        ({}, {"item": [2**63]}, "feature 'item', candidate 0: expected int64, received int (9223372036854775808)"),
        ({"age": "33"}, {"item": [1]}, "feature 'age', context: expected float32, received str ('33')"),
        ({"user": 42}, {"item": [1]}, "feature 'user', context: expected string, received int (42)"),
        ({"user": ["ann"]}, {"item": [1]}, "feature 'user', context: expected string, received list (['ann'])"),
        (
            {"genres": "Drama"},
            {"item": [1]},
            "feature 'genres', context: expected a list of string values, received str ('Drama'); "
            "write ['Drama'] for a single value",
        ),
        ({}, {"genres": [["a"], [1]]}, "feature 'genres', candidate 1: expected string, received int (1)"),
        ({}, {"item": [1, 2], "age": [1]}, "expected as many values of each feature as there are candidates, "
                                           "received 2 of 'item', 1 of 'age'"),
        ({}, {"user": "ann"}, "feature 'user': expected a list with a value for each candidate, received str ('ann')"),
        ({}, {"item": 5}, "feature 'item': expected a list with a value for each candidate, received int (5)"),
        ({"user": "ann"}, {}, "expected at least one feature of the candidates, received none: "
                              "how many there are is unknown; if there are none, give one an empty list"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(context, candidates, message):
    with pytest.raises(FeatureError) as error:
        to_tensors(COLUMNS, context, candidates)

    assert str(error.value) == message


def test_long_values_are_cut_in_messages():
    with pytest.raises(FeatureError) as error:
        to_tensors(COLUMNS, {"age": "x" * 1000}, {"item": [1]})

    assert len(str(error.value)) < 150


def test_candidates_are_counted():
    assert number_of({"item": [1, 2, 3], "user": np.array(["a", "b", "c"])}) == 3
    assert number_of({"item": []}) == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((types_pb2.DT_DOUBLE, 1), "input 'x': expected int64, float32 or string with one or two dimensions, "
                                   "received DT_DOUBLE with 1"),
        ((types_pb2.DT_FLOAT, 3), "input 'x': expected int64, float32 or string with one or two dimensions, "
                                  "received DT_FLOAT with 3"),
    ],
)  # fmt: skip
def test_other_signatures_are_refused(bad, message):
    with pytest.raises(FeatureError) as error:
        columns_of(signature(x=bad))

    assert str(error.value) == message
