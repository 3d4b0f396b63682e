"""The model that the tests serve: a SavedModel with the signatures that Rankline exports, small enough to work its
answers out by hand.

The toy model's score of a candidate is linear: logit = scale · (length of user + age + item + number of genres), where
a missing value counts as 0, and probability = sigmoid(logit).
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc

from serving.server import saved_model
from serving.server.servable import ServableId
from serving.tensor_proto import fill_content
from tests.serving.certificates import signed, ssl_config

SCALES = {1: 0.1, 2: 0.2, 3: 0.3}
MISSING_INT = tf.int64.min


class ToyRanker(tf.Module):
    """The model above."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = tf.Variable(scale)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user"),
            tf.TensorSpec([None], tf.float32, "age"),
            tf.TensorSpec([None], tf.int64, "item"),
            tf.TensorSpec([None, None], tf.string, "genres"),
        ]
    )
    def rank(self, user: tf.Tensor, age: tf.Tensor, item: tf.Tensor, genres: tf.Tensor) -> dict[str, tf.Tensor]:
        total = tf.cast(tf.strings.length(user), tf.float32)
        total += tf.where(tf.math.is_nan(age), 0.0, age)
        total += tf.where(item == MISSING_INT, 0.0, tf.cast(item, tf.float32))
        total += tf.reduce_sum(tf.cast(genres != "", tf.float32), axis=1)
        logit = self.scale * total
        return {"logit": logit, "probability": tf.sigmoid(logit)}

    def _parsed(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = tf.io.parse_example(
            examples,
            {
                "user": tf.io.FixedLenFeature([], tf.string, ""),
                "age": tf.io.FixedLenFeature([], tf.float32, float("nan")),
                "item": tf.io.FixedLenFeature([], tf.int64, MISSING_INT),
                "genres": tf.io.VarLenFeature(tf.string),
            },
        )
        features["genres"] = tf.sparse.to_dense(features["genres"])
        return features

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.rank(**self._parsed(examples))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        probability = self.rank(**self._parsed(inputs))["probability"]
        scores = tf.stack([1.0 - probability, probability], axis=1)
        return {"classes": tf.broadcast_to(["0", "1"], tf.shape(scores)), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": self.rank(**self._parsed(inputs))["logit"]}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "strings"),
            tf.TensorSpec([None, None], tf.float32, "floats"),
            tf.TensorSpec([None], tf.int64, "ints"),
            tf.TensorSpec([], tf.bool, "flag"),
            tf.TensorSpec([None], tf.bfloat16, "halves"),
        ]
    )
    def echo(
        self, strings: tf.Tensor, floats: tf.Tensor, ints: tf.Tensor, flag: tf.Tensor, halves: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        inputs = {"strings": strings, "floats": floats, "ints": ints, "flag": flag, "halves": halves}
        return {name: tf.identity(tensor) for name, tensor in inputs.items()}


def _save(path: Path, scale: float) -> None:
    model = ToyRanker(scale)
    names = ["rank", "serving_default", "classify", "regress", "echo"]
    tf.saved_model.save(model, str(path), signatures={name: getattr(model, name) for name in names})
    methods = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
    for name in ("classify", "regress"):
        methods.replace_method_name(name, f"tensorflow/serving/{name}", tags="serve")
    methods.save()


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Path]:
    """A SavedModel for each of three versions; version n has scale n / 10."""
    folder = tmp_path_factory.mktemp("toy_models")
    for version, scale in SCALES.items():
        _save(folder / str(version), scale)
    return {version: folder / str(version) for version in SCALES}


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """An empty base path."""
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
def push(toy_models: Mapping[int, Path], base_path: Path) -> Callable[..., Path]:
    """Puts a toy model under the base path as a pusher does: written beside, then renamed."""

    def push(version: int, name: str = "", warmup: Iterable[prediction_log_pb2.PredictionLog] = ()) -> Path:
        beside = base_path.with_name("being_written")
        shutil.copytree(toy_models[version], beside)
        if logs := list(warmup):
            (beside / "assets.extra").mkdir()
            with tf.io.TFRecordWriter(str(beside / "assets.extra" / "tf_serving_warmup_requests")) as writer:
                for log in logs:
                    writer.write(log.SerializeToString())
        return beside.rename(base_path / (name or str(version)))

    return push


@pytest.fixture(scope="session")
def rank_request() -> Callable[..., predict_pb2.PredictRequest]:
    """Makes a request to the toy model's rank signature: user "ann", 30 years old, one genre in common."""

    def rank_request(items: list[int], **inputs: np.ndarray) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="toy", signature_name="rank"))
        tensors = {
            "user": np.array([b"ann"], object),
            "age": np.array([30], np.float32),
            "item": np.array(items, np.int64),
            "genres": np.array([[b"Drama"]], object),
        }
        for name, array in {**tensors, **inputs}.items():
            fill_content(request.inputs[name], array)
        return request

    return rank_request


@pytest.fixture(scope="session")
def toy(toy_models: Mapping[int, Path]) -> Iterator[saved_model.SavedModel]:
    """Version 1, loaded."""
    model = saved_model.load(ServableId("toy", 1), str(toy_models[1]))
    yield model
    model.close()


@pytest.fixture(scope="session")
def authority():
    """Who signs certificates: key, as PEM and as it is, and certificate."""
    return signed("authority")


@pytest.fixture
def ssl_config_file(tmp_path, authority):
    """Writes a server's `--ssl_config_file`, with whatever differs."""

    def write(**changes):
        file = tmp_path / "ssl.pbtxt"
        file.write_text(ssl_config(authority, **changes))
        return str(file)

    return write


@pytest.fixture
def served():
    """Serves a PredictionService of the test's own, and gives its address."""
    servers = []

    def served(service) -> str:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield served
    for server in servers:
        server.stop(0).wait()
