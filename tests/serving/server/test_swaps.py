"""New versions under load: clients only notice the new answers."""

import threading
from collections.abc import Callable
from pathlib import Path

import grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.server import Server, ServerOptions
from serving.tensor_proto import to_array
from tests.serving.asking import wait_until
from tests.serving.conftest import SCALES

TIMEOUT_S = 60
CLIENTS, SWAPS = 32, 20


def test_no_request_fails_and_every_answer_is_of_the_version_it_names(
    base_path: Path,
    push: Callable[..., Path],
    rank_request: Callable[..., predict_pb2.PredictRequest],
) -> None:
    """Of the three toy models by turns; "ann", 30 years, one genre and item 1 are 35, times the scale."""
    request, stop = rank_request([1]), threading.Event()
    errors: list[grpc.RpcError] = []
    answers: set[tuple[int, float]] = set()
    expected = {version: round(35 * SCALES[version % 3 + 1], 3) for version in range(1, SWAPS + 2)}

    def ask(port: int) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not stop.is_set():
                try:
                    answer = stub.Predict(request, timeout=TIMEOUT_S)
                except grpc.RpcError as error:
                    errors.append(error)
                else:
                    logit = float(to_array(answer.outputs["logit"])[0])
                    answers.add((answer.model_spec.version.value, round(logit, 3)))

    push(2, "1")
    with Server(ServerOptions("toy", str(base_path), file_system_poll_wait_seconds=0.05)) as server:
        server.wait_until_available(TIMEOUT_S)
        threads = [threading.Thread(target=ask, args=(server.port,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for version in range(2, SWAPS + 2):
                push(version % 3 + 1, str(version))
                wait_until(lambda version=version: any(answered == version for answered, _ in list(answers)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not errors, errors[0]
    assert dict(answers) == expected
    assert len(answers) == len(expected)
