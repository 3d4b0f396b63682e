"""Requests that are computed together."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from grpc import StatusCode

from serving.server import config_files
from serving.server.load_options import LoadOptions
from serving.server.saved_model import SavedModel
from serving.server.servable import ServableId
from serving.server.status import StatusError

AT_ONCE = "batch_timeout_micros { value: 0 }"
WHEN_FULL = "batch_timeout_micros { value: 30000000 }"
"""Longer than a test takes: a batch is computed because it is full, or not at all."""


class Counting(tf.Module):
    """Says how many rows it was given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(10.0)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0]), 0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])
    def words(self, word):
        return {"value": self.factor * self.table.lookup(word), "rows": tf.fill(tf.shape(word), tf.shape(word)[0])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "id"), tf.TensorSpec([None, None], tf.float32, "x")])
    def sums(self, id, x):
        rows = tf.fill(tf.shape(id), tf.shape(id)[0])
        return {"sum": tf.cast(id, tf.float32) + tf.reduce_sum(x, axis=1), "rows": rows}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def first(self, x):
        return {"x": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "steps")])
    def slow(self, steps):
        return {
            "steps": steps + 0 * tf.while_loop(lambda i: i < steps[0], lambda i: [i + 1], [tf.constant(0, tf.int64)])[0]
        }


SIGNATURES = ("words", "sums", "total", "first", "slow")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("counting"))
    model = Counting()
    tf.saved_model.save(model, path, signatures={name: getattr(model, name) for name in SIGNATURES})
    return path


@pytest.fixture
def load(path):
    """Loads the model with batching parameters."""
    loaded = []

    def load(*parameters: str, **options) -> SavedModel:
        batching = text_format.Parse(" ".join(parameters), config_files.BatchingParameters())
        loaded.append(SavedModel(ServableId("counting", 1), path, LoadOptions(batching=batching, **options)))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


def words(*of) -> dict[str, np.ndarray]:
    return {"word": np.array(of, object)}


def numbers(ids, lists) -> dict[str, np.ndarray]:
    return {"id": np.array(ids, np.int64), "x": np.array(lists, np.float32)}


def together(model, signature, requests, outputs) -> list:
    """What each of the requests gets, all asked at the same time: outputs as lists, or the error."""

    def ask(inputs):
        try:
            return [array.tolist() for array in model.run(signature, inputs, outputs)]
        except StatusError as error:
            return error.code, error.message

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(ask, requests))


def failure(model, signature, inputs) -> tuple[StatusCode, str]:
    ((code, message),) = together(model, signature, [inputs], list(model.signature_defs[signature].outputs))
    return code, message


def test_requests_share_a_batch(load):
    """a is 1, b is 2, anything else 0, times 10; the three rows of both requests make a batch."""
    model = load("max_batch_size { value: 3 }", WHEN_FULL)

    assert together(model, "words", [words(b"a"), words(b"b", b"c")], ["rows", "value"]) == [
        [[3], [10.0]],
        [[3, 3], [20.0, 0.0]],
    ]


def test_outputs_that_are_chosen_are_batched_too(load):
    model = load("max_batch_size { value: 2 }", WHEN_FULL)

    assert together(model, "words", [words(b"a"), words(b"b")], ["value"]) == [[[10.0]], [[20.0]]]
    assert together(model, "words", [words(b"a"), words(b"b")], ["rows"]) == [[[2]], [[2]]]


def test_a_batch_is_filled_up_to_an_allowed_size(load):
    model = load("max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8", AT_ONCE)

    assert together(model, "words", [words(b"a", b"b", b"a")], ["rows", "value"]) == [[[4] * 3, [10.0, 20.0, 10.0]]]


def test_a_large_request_is_split(load):
    model = load(
        "max_batch_size { value: 8 } max_execution_batch_size { value: 4 }",
        "enable_large_batch_splitting { value: true }",
        AT_ONCE,
    )

    assert together(model, "words", [words(*[b"a"] * 8)], ["rows"]) == [[[4] * 8]]


def test_rows_of_several_lengths(load):
    """The shorter is filled up with its own first value, as TF Serving does it: 1 + (5 + 6 + 5) and 2 + (1 + 2 + 3)."""
    model = load("max_batch_size { value: 2 } pad_variable_length_inputs: true", WHEN_FULL)

    assert together(model, "sums", [numbers([1], [[5, 6]]), numbers([2], [[1, 2, 3]])], ["rows", "sum"]) == [
        [[2], [17.0]],
        [[2], [8.0]],
    ]


def test_rows_of_several_lengths_without_padding(load):
    model = load("max_batch_size { value: 2 }", WHEN_FULL)

    answers = together(model, "sums", [numbers([1], [[5, 6]]), numbers([2], [[1, 2, 3]])], ["sum"])

    for code, message in answers:
        assert code == StatusCode.FAILED_PRECONDITION
        assert message.startswith("Tensors with name 'sums_x:0' from different tasks have different shapes and padding")


@pytest.mark.parametrize(
    ("signature", "inputs", "code", "message"),
    [
        ("words", words(b"a", b"b", b"c"), "INVALID_ARGUMENT", "Task size 3 is larger than maximum input batch size 2"),
        (
            "sums",
            numbers([1, 2], [[1]]),
            "INVALID_ARGUMENT",
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (
            "words",
            {"word": np.array(b"a", object)},
            "INVALID_ARGUMENT",
            "Batching Run() input tensors must have at least one dimension",
        ),
        ("total", {"x": np.ones(1, np.float32)}, "FAILED_PRECONDITION", "Batched output tensor has 0 dimensions"),
        (
            "first",
            {"x": np.ones(2, np.float32)},
            "FAILED_PRECONDITION",
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
    ],
)
def test_errors(load, signature, inputs, code, message):
    assert failure(load("max_batch_size { value: 2 }", AT_ONCE), signature, inputs) == (StatusCode[code], message)


def test_a_full_queue(load):
    """One batch is computed, one waits, and there is no place for more."""
    model = load(
        "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } num_batch_threads { value: 1 }", AT_ONCE
    )
    steps = {"steps": np.array([300_000], np.int64)}

    answers = together(model, "slow", [steps] * 6, ["steps"])

    refused = [answer for answer in answers if answer[0] == StatusCode.UNAVAILABLE]
    assert len(refused) >= 3
    assert all(
        message.startswith("The batch scheduling queue to which this task was submitted is full")
        for _, message in refused
    )
    assert [[300_000]] in answers


def test_time_is_up(load):
    """The batch would be computed after half a second."""
    model = load("max_batch_size { value: 2 } batch_timeout_micros { value: 500000 }")

    with pytest.raises(StatusError) as error:
        model.run("words", words(b"a"), ["rows"], timeout_s=0.01)

    assert error.value.code == StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            "allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 1000",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        (
            "max_batch_size { value: 4 } max_execution_batch_size { value: 8 } "
            "enable_large_batch_splitting { value: true }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size. Were 4 and 8",
        ),
    ],
)
def test_wrong_parameters(load, parameters, message):
    with pytest.raises(StatusError) as error:
        load(parameters)

    assert (error.value.code, error.value.message) == (StatusCode.INVALID_ARGUMENT, message)


def test_parameters_of_a_model(load, path, tmp_path):
    """Only a model that has some is batched."""
    model = load("max_batch_size { value: 1 }", AT_ONCE, batching_per_model=True)
    assert together(model, "words", [words(b"a", b"b")], ["rows"]) == [[[2, 2]]]

    own = tf.io.gfile.join(path, "batching_params.pbtxt")
    with tf.io.gfile.GFile(own, "w") as file:
        file.write("max_batch_size { value: 3 }")
    try:
        model = load("max_batch_size { value: 1 }", WHEN_FULL, batching_per_model=True)
        assert failure(model, "words", words(*[b"a"] * 4))[1] == "Task size 4 is larger than maximum input batch size 3"
    finally:
        tf.io.gfile.remove(own)
