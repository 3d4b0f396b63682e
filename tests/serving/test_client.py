"""The client against the embedded server, and against servers that misbehave."""

import contextlib
import itertools
import socket
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.client import (
    CallError,
    Client,
    DeadlineError,
    FeatureError,
    LoadError,
    NotFoundError,
    Ranked,
    UnavailableError,
)
from serving.server import Server, ServerOptions
from serving.tensor_proto import fill_content, to_array

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def server(toy_models):
    """Version 3: logit = 0.3 · (length of user + age + item + number of genres)."""
    with Server(ServerOptions("toy", str(toy_models[1].parent))) as server:
        server.wait_until_available(TIMEOUT_S)
        yield server


@pytest.fixture(scope="module")
def client(server):
    with Client(f"127.0.0.1:{server.port}", "toy", timeout_s=TIMEOUT_S) as client:
        yield client


def probability(total: float) -> float:
    return float(1 / (1 + np.exp(-0.3 * total)))


def test_candidates_are_ranked_by_probability(client):
    """With ann (3) and no age: items -5, 2, missing (0) and -5 with one, two, no and one genre."""
    ranking = client.rank(
        {"user": "ann"}, {"item": [-5, 2, None, -5], "genres": [["War"], ["War", "Noir"], None, ["Noir"]]}
    )

    assert [ranked.index for ranked in ranking] == [1, 2, 0, 3]
    assert [ranked.score for ranked in ranking] == pytest.approx(
        [probability(7), probability(3), probability(-1), probability(-1)]
    )


def test_the_best_k(client):
    assert client.rank({"age": -3}, {"item": [1, 3, 2]}, k=2) == [
        Ranked(1, pytest.approx(probability(0))),
        Ranked(2, pytest.approx(probability(-1))),
    ]
    assert len(client.rank({}, {"item": [1, 2]}, k=5)) == 2


def test_many_candidates(client):
    ranking = client.rank({}, {"item": np.arange(-10_000, 10_000)}, k=1)

    assert ranking[0].index >= 10_000


@pytest.mark.parametrize("chunk", [1, 3, 7, 10, 100])
def test_in_chunks_the_ranking_is_the_same(server, client, chunk):
    context = {"user": "ann"}
    candidates = {"item": [3, -5, 2, None, -5, 9, 4, 4, 0, 1], "genres": [["War"], ["War", "Noir"], *[None] * 8]}
    with Client(f"127.0.0.1:{server.port}", "toy", timeout_s=TIMEOUT_S, chunk=chunk) as chunked:
        # The last bit depends on how many rows are computed together.
        scores = {ranked.index: pytest.approx(ranked.score) for ranked in client.rank(context, candidates)}
        ranking = chunked.rank(context, candidates)
        assert {ranked.index: ranked.score for ranked in ranking} == scores
        assert ranking[0].index == 5
        assert chunked.rank(context, {"item": []}) == []


def test_a_server_that_batches_is_given_the_context_once_for_each_candidate(toy_models, client):
    context, candidates = {"user": "ann"}, {"item": list(range(10))}
    with (
        Server(ServerOptions("toy", str(toy_models[1].parent), enable_batching=True)) as server,
        Client(f"127.0.0.1:{server.port}", "toy", timeout_s=TIMEOUT_S, chunk=4) as of_batches,
    ):
        server.wait_until_available(TIMEOUT_S)

        assert of_batches.rank(context, candidates, 3) == client.rank(context, candidates, 3)
        assert of_batches.rank({}, {"item": [1]}) == client.rank({}, {"item": [1]})
        request = of_batches.rank_request(context, candidates)
    assert {tensor.tensor_shape.dim[0].size for tensor in request.inputs.values()} == {10}


def test_wrong_choices():
    with pytest.raises(ValueError, match="chunk: expected a positive number of candidates or None, received 0"):
        Client("nowhere", "toy", chunk=0)
    with pytest.raises(ValueError, match="expected a version or a label, received both: 1 and 'stable'"):
        Client("nowhere", "toy", version=1, label="stable")


@pytest.mark.parametrize(
    ("choice", "code", "message"),
    [
        ({"version": 3}, None, ""),
        ({"version": 9}, grpc.StatusCode.NOT_FOUND, r"Servable not found for request: Specific\(toy, 9\)"),
        ({"label": "stable"}, grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: stable"),
    ],
)
def test_a_version_or_a_label_is_asked(server, choice, code, message):
    with Client(f"127.0.0.1:{server.port}", "toy", timeout_s=TIMEOUT_S, **choice) as client:
        assert client.status() == [(3, "AVAILABLE", "")]
        if code is None:
            assert client.rank({}, {"item": [1]})[0].score == pytest.approx(probability(1))
            return
        with pytest.raises(CallError, match=message) as error:
            client.rank({}, {"item": [1]})
    assert error.value.code == code


def test_no_candidates(client):
    assert client.rank({"user": "ann"}, {"item": []}) == []


def test_k_must_be_positive(client):
    with pytest.raises(ValueError, match="k: expected a positive number of candidates or None, received 0"):
        client.rank({}, {"item": [1]}, k=0)


def test_features_are_checked_before_anything_is_sent(client):
    with pytest.raises(
        FeatureError, match=r"feature 'itme': expected one of the model's inputs .*; did you mean 'item'"
    ):
        client.rank({}, {"itme": [1]})


def test_examples_are_predicted(client):
    """Item 10 alone, and nothing at all."""
    example = 'features { feature { key: "item" value { int64_list { value: 10 } } } }'
    predictions = client.predict([text_format.Parse(example, tf.train.Example()).SerializeToString(), b""])

    assert predictions["logit"].tolist() == pytest.approx([3.0, 0.0])
    assert predictions["probability"].tolist() == pytest.approx([probability(10), 0.5])


def test_broken_examples(client):
    with pytest.raises(
        CallError, match="answered INVALID_ARGUMENT: Could not parse example input, value: '�'"
    ) as error:
        client.predict([b"\xff"])

    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_status(client):
    assert client.status() == [(3, "AVAILABLE", "")]
    assert client.wait_until_available(TIMEOUT_S) == 3


def test_unknown_model(server):
    with Client(f"127.0.0.1:{server.port}", "toys") as client:
        with pytest.raises(NotFoundError, match=r"answered NOT_FOUND: Servable not found for request: Latest\(toys\)"):
            client.rank({}, {"item": [1]})
        with pytest.raises(NotFoundError, match="Could not find any versions of model toys"):
            client.status()
        with pytest.raises(DeadlineError, match=r"was not available after 0\.2 s: .* any versions of model toys"):
            client.wait_until_available(0.2)


def test_the_real_reason_of_a_load_that_failed(base_path):
    (base_path / "1").mkdir()
    options = ServerOptions("toy", str(base_path), max_num_load_retries=0)
    with (
        Server(options) as server,
        Client(f"127.0.0.1:{server.port}", "toy") as client,
        pytest.raises(LoadError, match=r"^model toy version 1: Could not find SavedModel \.pb"),
    ):
        client.wait_until_available(TIMEOUT_S)


def test_waiting_for_a_server_that_is_not_up_yet(base_path, push):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Client(f"127.0.0.1:{port}", "toy") as client, futures.ThreadPoolExecutor() as pool:
        version = pool.submit(client.wait_until_available, TIMEOUT_S)
        push(2)
        with Server(ServerOptions("toy", str(base_path), port=port)):
            assert version.result() == 2


def test_waiting_for_a_version_while_an_older_one_is_served(base_path, push):
    push(1)
    with (
        Server(ServerOptions("toy", str(base_path), file_system_poll_wait_seconds=0.05)) as server,
        Client(f"127.0.0.1:{server.port}", "toy") as client,
        futures.ThreadPoolExecutor() as pool,
    ):
        assert client.wait_until_available(TIMEOUT_S, version=1) == 1
        with pytest.raises(DeadlineError, match=r"^model toy version 2 at .*: version 1 is AVAILABLE$"):
            client.wait_until_available(0.2, version=2)
        newer = pool.submit(client.wait_until_available, TIMEOUT_S, version=2)
        push(3)
        assert newer.result() == 3


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Client(f"127.0.0.1:{port}", "toy", timeout_s=0.3) as client,
        pytest.raises(UnavailableError, match=f"^nobody listens at 127.0.0.1:{port}$"),
    ):
        client.status()


def test_waiting_no_longer_than_the_grace_for_somebody_who_has_the_model(server):
    with (
        Client("127.0.0.1:1", "toy") as client,
        pytest.raises(UnavailableError, match=r"^nobody listens at 127\.0\.0\.1:1$"),
    ):
        client.wait_until_available(TIMEOUT_S, grace_s=0.1)
    with (
        Client(f"127.0.0.1:{server.port}", "toys") as client,
        pytest.raises(NotFoundError, match="any versions of model toys"),
    ):
        client.wait_until_available(TIMEOUT_S, grace_s=0.1)


def test_a_model_that_is_loading_is_waited_for_beyond_the_grace(base_path):
    """It is loaded when the client has asked for its state a few times."""
    asked = threading.Event()

    class Loading(Model):
        def __init__(self, servable_id, path):
            asked.wait(TIMEOUT_S)
            super().__init__(servable_id, path)

    with serve(base_path, v1=Loading) as server, Client(f"127.0.0.1:{server.port}", "toy") as client:
        states = iter(range(5))
        versions = client._versions

        async def count(*arguments, **options):
            if next(states, None) is None:
                asked.set()
            return await versions(*arguments, **options)

        client._versions = count
        assert client.wait_until_available(TIMEOUT_S, grace_s=0) == 1


class Flaky(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Fails a number of times before it answers."""

    def __init__(self, code: grpc.StatusCode, failures: int) -> None:
        self.code, self.failures, self.calls = code, failures, 0

    def Predict(self, request, context):  # noqa: N802
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(self.code, "not now")
        response = predict_pb2.PredictResponse()
        for name in ("probability", "logit"):
            response.outputs[name].CopyFrom(tf.make_tensor_proto([0.5]))
        return response


@pytest.fixture
def serve_service(served):
    """A client of a service."""
    with contextlib.ExitStack() as clients:

        def serve_service(service, **options) -> Client:
            return clients.enter_context(Client(served(service), "toy", timeout_s=TIMEOUT_S, **options))

        yield serve_service


def of_integers(*columns) -> meta_graph_pb2.SignatureDef:
    """A signature that takes one integer of a candidate in each column."""
    info = text_format.Parse("dtype: DT_INT64 tensor_shape { dim { size: -1 } }", meta_graph_pb2.TensorInfo())
    return meta_graph_pb2.SignatureDef(inputs=dict.fromkeys(columns, info))


class Newer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Version 1 answers the first call, then comes version 2; each scores every candidate with its number."""

    def __init__(self):
        self.calls = itertools.count(1)
        self.asked = []

    def GetModelMetadata(self, request, context):  # noqa: N802
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signatures.signature_def["rank"].CopyFrom(of_integers("item"))
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def Predict(self, request, context):  # noqa: N802
        asked = request.model_spec.version.value
        version = asked or (1 if next(self.calls) == 1 else 2)
        self.asked.append(asked)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        response.model_spec.version.value = version
        count = len(to_array(request.inputs["item"]))
        fill_content(response.outputs["probability"], np.full(count, version, np.float32))
        return response


def test_chunks_are_of_one_version(serve_service):
    """Another version comes after the first call: all are asked of that one."""
    service = Newer()
    ranking = serve_service(service, chunk=2).rank({}, {"item": [1, 2, 3, 4, 5]})

    assert service.asked == [0] * 3 + [2] * 3
    assert [ranked.score for ranked in ranking] == [2.0] * 5


def test_unavailable_is_retried(serve_service):
    service = Flaky(grpc.StatusCode.UNAVAILABLE, failures=3)

    assert serve_service(service).predict([b""])["logit"].tolist() == [0.5]
    assert service.calls == 4


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"])
def test_nothing_else_is_retried(serve_service, code):
    service = Flaky(grpc.StatusCode[code], failures=1)

    with pytest.raises(CallError):
        serve_service(service).predict([b""])
    assert service.calls == 1


class Model:
    """A servable whose rank signature takes the columns in `columns`, and gives every candidate 0.5."""

    columns = ("item",)

    def __init__(self, servable_id, path):
        self.id = servable_id
        definition = of_integers(*self.columns)
        for name in ("logit", "probability"):
            definition.outputs[name].name = name
        examples = meta_graph_pb2.SignatureDef(outputs=definition.outputs)
        examples.inputs["examples"].name = "examples"
        self.signature_defs = {"rank": definition, "serving_default": examples}

    def run(self, signature, inputs, outputs, timeout_s):
        size = max(len(array) for array in inputs.values())
        return [np.full(size, 0.5, np.float32) for _ in outputs]

    def close(self):
        pass


class WithYear(Model):
    columns = ("item", "year")


def serve(base_path, **models) -> Server:
    """A server of these servables, of which version n is served when folder n appears."""
    (base_path / "1").mkdir()
    options = ServerOptions("toy", str(base_path), file_system_poll_wait_seconds=0.02)
    return Server(options, load=lambda servable_id, path: models[f"v{servable_id.version}"](servable_id, path))


def test_the_deadline_ends_a_call(base_path):
    """The model takes until the client has given up."""
    given_up = threading.Event()

    class Slow(Model):
        def run(self, signature, inputs, outputs, timeout_s):
            given_up.wait(TIMEOUT_S)
            return super().run(signature, inputs, outputs, timeout_s)

    with serve(base_path, v1=Slow) as server, Client(f"127.0.0.1:{server.port}", "toy", timeout_s=0.3) as client:
        server.wait_until_available(TIMEOUT_S)
        with pytest.raises(DeadlineError, match=r"^127\.0\.0\.1:\d+: expected an answer within 0\.3 s, received none$"):
            client.predict([b""])
        given_up.set()


@pytest.mark.parametrize(("before", "after"), [(Model, WithYear), (WithYear, Model)])
def test_a_new_version_may_take_other_features(base_path, before, after):
    """The client knows the old version's columns, and finds out about the new one's by itself."""
    with serve(base_path, v1=before, v2=after) as server, Client(f"127.0.0.1:{server.port}", "toy") as client:
        client.wait_until_available(TIMEOUT_S)
        assert client.rank({}, {name: [1] for name in before.columns}) == [Ranked(0, 0.5)]
        (base_path / "2").mkdir()
        while client.wait_until_available(TIMEOUT_S) != 2:
            pass

        assert client.rank({}, {name: [1] for name in after.columns}) == [Ranked(0, 0.5)]
        with pytest.raises(FeatureError, match="feature 'user': expected one of the model's inputs"):
            client.rank({"user": 1}, {"item": [1]})


def test_a_model_without_rank_signature(base_path):
    class Unranked(Model):
        def __init__(self, servable_id, path):
            super().__init__(servable_id, path)
            del self.signature_defs["rank"]

    with serve(base_path, v1=Unranked) as server, Client(f"127.0.0.1:{server.port}", "toy") as client:
        client.wait_until_available(TIMEOUT_S)
        with pytest.raises(
            FeatureError, match=r"^model toy version 1: expected a signature 'rank', received serving_default$"
        ):
            client.rank({}, {"item": [1]})
