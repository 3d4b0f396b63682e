"""Helpers with which tests call a server, and wait for its work in the background."""

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

TIMEOUT_S = 60


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until a condition is true."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def error_of(call: grpc.UnaryUnaryMultiCallable, request: Any) -> tuple[grpc.StatusCode, str]:
    """The status code and the message with which a request is refused."""
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=TIMEOUT_S)
    return error.value.code(), error.value.details()
