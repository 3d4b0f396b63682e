"""Hostile input: the server answers every request with a status, reveals nothing, and goes on serving."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

import grpc
import numpy as np
import portpicker
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

from serving.client import Client
from serving.tensor_proto import to_array

TIMEOUT_S = 30
IN_FLIGHT = 64
SLICE, WHOLE = 3_000, 100_000
"""Messages: in every run of the tests, and in the long one."""

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METHODS = [
    PREDICT,
    "/tensorflow.serving.PredictionService/Classify",
    "/tensorflow.serving.PredictionService/Regress",
    "/tensorflow.serving.PredictionService/MultiInference",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
]
REVEALING = re.compile(r'Traceback|File "|\.py\b|/(work|usr|home|tmp)/|site-packages')


@dataclass(frozen=True)
class Target:
    """A server of the toy model, as a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path
    grpc_port: int
    rest_port: int
    good: predict_pb2.PredictRequest

    def send(self, method: str, message: bytes, channel: grpc.Channel) -> grpc.Future:
        """Sends bytes, whatever they are, as a call's message."""
        return channel.unary_unary(method).future(message, timeout=TIMEOUT_S)

    def check(self) -> None:
        """It is there, answers as before, and has not been surprised."""
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            answer = channel.unary_unary(PREDICT, response_deserializer=predict_pb2.PredictResponse.FromString)(
                self.good.SerializeToString(), timeout=TIMEOUT_S
            )
        # "ann" + 30 years + the item + one genre, times version 1's scale.
        np.testing.assert_allclose(to_array(answer.outputs["logit"]), [3.5, 3.6], rtol=1e-6)
        assert "unforeseen" not in self.log.read_text()


@pytest.fixture(scope="module")
def target(toy_models: Mapping[int, Path], rank_request: Callable[..., predict_pb2.PredictRequest]) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder) / "models"
        base_path.mkdir()
        (base_path / "1").symlink_to(toy_models[1])
        log = Path(folder) / "log"
        ports = portpicker.pick_unused_port(), portpicker.pick_unused_port()
        command = [sys.executable, "-m", "serving.server", f"--port={ports[0]}", f"--rest_api_port={ports[1]}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--model_name=toy", f"--model_base_path={base_path}"], stdout=output, stderr=output
            )
        try:
            with Client(f"127.0.0.1:{ports[0]}", "toy") as client:
                client.wait_until_available(TIMEOUT_S)
            yield Target(process, log, *ports, rank_request([1, 2]))
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def channel(target: Target) -> Iterator[grpc.Channel]:
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{target.grpc_port}", unlimited) as channel:
        yield channel


def changed(message: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """A message with some bytes flipped, cut out, put in, doubled or taken from another."""
    content = bytearray(message)
    for _ in range(dice.randint(1, 6)):
        start = dice.randint(0, len(content))
        end = min(len(content), start + dice.randint(0, 12))
        match dice.randrange(5):
            case 0 if content:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            case 1:
                del content[start:end]
            case 2:
                content[start:start] = dice.randbytes(dice.randint(1, 8))
            case 3:
                content[start:start] = content[start:end] * dice.randint(1, 20)
            case _:
                other = dice.choice(others)
                content[start:end] = other[dice.randint(0, len(other)) :][:40]
    return bytes(content)


def check_refusal(error: grpc.RpcError) -> None:
    assert error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED), error.details()
    assert not REVEALING.search(error.details() or ""), error.details()


def corpus(target: Target) -> list[bytes]:
    """Messages to begin with: requests of every kind, in all of which a model spec is the first field."""
    request = target.good
    spec_only = predict_pb2.PredictRequest(model_spec=request.model_spec)
    examples = predict_pb2.PredictRequest(model_spec=request.model_spec)
    examples.model_spec.signature_name = "serving_default"
    examples.inputs["examples"].dtype = types_pb2.DT_STRING
    examples.inputs["examples"].tensor_shape.dim.add().size = 1
    examples.inputs["examples"].string_val.append(b"\n\x0f\n\r\n\x04item\x12\x05\x1a\x03\n\x01\x07")
    metadata = request.model_spec.SerializeToString()
    return [
        request.SerializeToString(),
        examples.SerializeToString(),
        spec_only.SerializeToString() + b"\x12\x0dsignature_def",
        b"\n" + bytes([len(metadata)]) + metadata,
        # Field 2 of Classify and Regress: an Input with an ExampleList of one Example.
        b"\n\x0f\n\x03toy\x1a\x08classify\x12\x15\n\x13\n\x11\n\x0f\n\r\n\x04item\x12\x05\x1a\x03\n\x01\x07",
    ]


@pytest.mark.parametrize("messages", [SLICE, pytest.param(WHOLE, marks=pytest.mark.long)])
def test_bytes_of_all_kinds_over_grpc(target: Target, channel: grpc.Channel, messages: int) -> None:
    dice = random.Random(messages)  # noqa: S311 (the same messages each time)
    beginnings = corpus(target)
    free = BoundedSemaphore(IN_FLIGHT)
    failures: list[BaseException] = []
    answered = 0

    def done(call: Future) -> None:
        try:
            if error := call.exception():
                check_refusal(error)
        except BaseException as failure:
            failures.append(failure)
        finally:
            free.release()

    for _ in range(messages):
        message = (
            changed(dice.choice(beginnings), beginnings, dice)
            if dice.random() < 0.9
            else dice.randbytes(dice.randint(0, 300))
        )
        free.acquire()
        target.send(dice.choice(METHODS), message, channel).add_done_callback(done)
        answered += 1
    for _ in range(IN_FLIGHT):
        assert free.acquire(timeout=TIMEOUT_S)
    assert not failures, failures[:3]
    assert answered == messages
    target.check()


_SIZES = st.sampled_from([-(2**63), -2, -1, 0, 1, 2, 3, 1000, 2**31, 2**40, 2**62, 2**63 - 1])


@st.composite
def tensors(draw: st.DrawFn) -> tensor_pb2.TensorProto:
    """Any TensorProto: types that do not exist, sizes that no memory holds, values of other types."""
    tensor = tensor_pb2.TensorProto(dtype=draw(st.one_of(st.sampled_from([1, 3, 7, 9]), st.integers(0, 130))))
    tensor.tensor_shape.unknown_rank = draw(st.booleans()) and draw(st.booleans())
    for size in draw(st.lists(_SIZES, max_size=4)):
        tensor.tensor_shape.dim.add().size = size
    if draw(st.booleans()):
        tensor.tensor_content = draw(st.binary(max_size=64))
    tensor.int64_val.extend(draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)))
    tensor.float_val.extend(draw(st.lists(st.floats(width=32), max_size=4)))
    tensor.string_val.extend(draw(st.lists(st.binary(max_size=20), max_size=4)))
    return tensor


@st.composite
def requests(draw: st.DrawFn) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = draw(st.one_of(st.just("toy"), st.text(max_size=20)))
    request.model_spec.signature_name = draw(st.one_of(st.just("rank"), st.just("echo"), st.text(max_size=20)))
    if draw(st.booleans()) and draw(st.booleans()):
        request.model_spec.version.value = draw(st.sampled_from([-1, 0, 1, 2**63 - 1]))
    names = st.one_of(st.sampled_from(["user", "age", "item", "genres", "floats"]), st.text(max_size=10))
    for name, tensor in draw(st.dictionaries(names, tensors(), max_size=5)).items():
        request.inputs[name].CopyFrom(tensor)
    request.output_filter.extend(draw(st.lists(st.one_of(st.just("logit"), st.text(max_size=10)), max_size=3)))
    return request


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=requests())
def test_requests_of_all_kinds_over_grpc(
    target: Target, channel: grpc.Channel, request: predict_pb2.PredictRequest
) -> None:
    if error := target.send(PREDICT, request.SerializeToString(), channel).exception():
        check_refusal(error)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(tensor=tensors(), name=st.sampled_from(["user", "age", "item", "genres"]))
def test_one_input_of_all_kinds_over_grpc(
    target: Target, channel: grpc.Channel, tensor: tensor_pb2.TensorProto, name: str
) -> None:
    request = predict_pb2.PredictRequest()
    request.CopyFrom(target.good)
    request.inputs[name].CopyFrom(tensor)
    if error := target.send(PREDICT, request.SerializeToString(), channel).exception():
        check_refusal(error)


BODY = b'{"signature_name": "rank", "inputs": {"user": ["ann"], "age": [30], "item": [1, 2], "genres": [["Drama"]]}}'
HTTP = [
    b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    b"GET /v1/models/toy/versions/1/metadata HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /v1/models/toy HTTP/1.1\r\nHost: a\r\n\r\n",
    b'POST /v1/models/toy:classify HTTP/1.1\r\nHost: a\r\nContent-Length: 24\r\n\r\n{"examples":[{"item":1}]}',
]


@pytest.mark.parametrize("messages", [SLICE // 10, pytest.param(WHOLE // 10, marks=pytest.mark.long)])
def test_bytes_of_all_kinds_over_http(target: Target, messages: int) -> None:
    dice = random.Random(messages)  # noqa: S311 (the same messages each time)
    for _ in range(messages):
        message = changed(dice.choice(HTTP), HTTP, dice)
        with socket.create_connection(("127.0.0.1", target.rest_port), TIMEOUT_S) as connection:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except ConnectionResetError:  # it had not read all when it closed
                pass
        assert not REVEALING.search(answer.decode(errors="replace")), answer
    target.check()


def test_json_of_all_depths(target: Target) -> None:
    body = b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    head = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", target.rest_port), TIMEOUT_S) as connection:
        connection.sendall(head % len(body) + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not REVEALING.search(answer.decode(errors="replace")), answer
    target.check()
