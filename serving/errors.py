"""Calls that fail, as exceptions with a message for people."""

import re
from typing import Any

import grpc

from schema.errors import RanklineError


class CallError(RanklineError):
    """The server answered with an error, or not at all.

    Attributes:
        code: gRPC's status code.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(CallError):
    """Nobody listens at the target, or the server went away, and did not come back within the deadline."""


class DeadlineError(CallError, TimeoutError):
    """The answer took longer than the deadline."""


class NotFoundError(CallError):
    """The server does not serve this model."""


class LoadError(RanklineError):
    """The server could not load the model, and serves no other version of it."""


_KINDS: dict[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
}


def call_error(error: Any, target: str, timeout_s: float) -> CallError:
    """What a grpc.RpcError of a call to `target`, with a deadline of `timeout_s` seconds, means."""
    code = error.code()
    return _KINDS.get(code, CallError)(code, _message(code, error.details(), target, timeout_s))


def _message(code: grpc.StatusCode, details: str, target: str, timeout_s: float) -> str:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{target}: expected an answer within {timeout_s:g} s, received none"
        # Of several addresses of one name only the last is told of: another may have failed in another way.
        case grpc.StatusCode.UNAVAILABLE if re.search(f":{re.escape(target)}: .*Connection refused", details):
            return f"nobody listens at {target}"
        case grpc.StatusCode.UNAVAILABLE if "handshake failed" in details or "Verification" in details:
            return f"{target} does not speak TLS, or not with a certificate that is trusted ({details})"
        case grpc.StatusCode.UNAVAILABLE if "Socket closed" in details:
            return f"{target} hung up; perhaps it expects TLS, or a certificate of its clients ({details})"
        case grpc.StatusCode.UNAVAILABLE:
            return f"no server answers at {target} ({details})"
    return f"{target} answered {code.name}: {details}"
