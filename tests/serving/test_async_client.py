"""The client for event loops, where it differs from the other client, with which it shares the rest."""

import asyncio
import itertools
import threading

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.async_client import AsyncClient
from serving.client import CallError, Client, DeadlineError, FeatureError, UnavailableError
from serving.server import Server, ServerOptions
from serving.tensor_proto import fill_content
from tests.serving.test_client import Flaky, Newer

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def server(toy_models):
    with Server(ServerOptions("toy", str(toy_models[1].parent))) as server:
        server.wait_until_available(TIMEOUT_S)
        yield server


def ask(target, question, **options):
    """The answer to a question, which is a function of a client."""

    async def answer():
        async with AsyncClient(target, "toy", **{"timeout_s": TIMEOUT_S} | options) as client:
            return await question(client)

    return asyncio.run(answer())


@pytest.mark.parametrize("chunk", [None, 3])
def test_the_answers_are_those_of_the_other_client(server, chunk):
    target = f"127.0.0.1:{server.port}"
    context, candidates = {"user": "ann"}, {"item": [3, -5, 2, None, -5, 9, 4]}

    async def question(client):
        return (
            await client.wait_until_available(TIMEOUT_S),
            await client.status(),
            await client.rank(context, candidates, k=3),
            await client.predict([b""]),
        )

    version, status, ranking, predictions = ask(target, question, chunk=chunk)
    with Client(target, "toy", TIMEOUT_S) as client:
        assert version == client.wait_until_available(TIMEOUT_S)
        assert status == client.status()
        # The last bit of a score depends on how many rows are computed together.
        expected = client.rank(context, candidates, k=3)
        assert [ranked.index for ranked in ranking] == [ranked.index for ranked in expected]
        assert [ranked.score for ranked in ranking] == pytest.approx([ranked.score for ranked in expected])
        assert predictions["logit"].tolist() == client.predict([b""])["logit"].tolist()


class Together(Newer):
    """Answers a ranking when three calls wait."""

    def __init__(self):
        super().__init__()
        self.waiting = threading.Barrier(3)

    def Predict(self, request, context):  # noqa: N802
        self.waiting.wait(TIMEOUT_S)
        return super().Predict(request, context)


def test_chunks_are_asked_in_parallel_and_of_one_version(served):
    service = Together()
    ranking = ask(served(service), lambda client: client.rank({}, {"item": [1, 2, 3, 4, 5]}), chunk=2)

    assert service.asked == [0] * 3 + [2] * 3
    assert [ranked.score for ranked in ranking] == [2.0] * 5


def test_unavailable_is_retried_and_nothing_else(served):
    service = Flaky(grpc.StatusCode.UNAVAILABLE, failures=2)
    assert ask(served(service), lambda client: client.predict([b""]))["logit"].tolist() == [0.5]
    assert service.calls == 3

    service = Flaky(grpc.StatusCode.INTERNAL, failures=1)
    with pytest.raises(CallError, match="answered INTERNAL: not now"):
        ask(served(service), lambda client: client.predict([b""]))
    assert service.calls == 1


def test_other_tasks_go_on_meanwhile(served):
    """Of a hundred requests the service answers none before another task has had its turn."""

    class Slow(prediction_service_pb2_grpc.PredictionServiceServicer):
        arrived, go_on = itertools.count(1), threading.Event()

        def Predict(self, request, context):  # noqa: N802
            assert self.go_on.wait(TIMEOUT_S)
            response = predict_pb2.PredictResponse()
            fill_content(response.outputs["logit"], np.float32([next(self.arrived)]))
            return response

    async def question(client):
        requests = [asyncio.create_task(client.predict([b""])) for _ in range(100)]
        await asyncio.sleep(0)
        Slow.go_on.set()
        return await asyncio.gather(*requests)

    answers = ask(served(Slow()), question)
    assert sorted(float(answer["logit"][0]) for answer in answers) == list(range(1, 101))


def test_errors(server, served):
    target = f"127.0.0.1:{server.port}"
    with pytest.raises(FeatureError, match="did you mean 'item'"):
        ask(target, lambda client: client.rank({}, {"itme": [1]}))
    with pytest.raises(UnavailableError, match=r"^nobody listens at 127\.0\.0\.1:1$"):
        ask("127.0.0.1:1", lambda client: client.wait_until_available(TIMEOUT_S, grace_s=0))
    service = Together()  # for two others
    with pytest.raises(DeadlineError, match=r"expected an answer within 0\.3 s, received none$"):
        ask(served(service), lambda client: client.rank({}, {"item": [1]}), timeout_s=0.3)
    service.waiting.abort()
