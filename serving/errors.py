"""Exceptions for failed calls, with messages for users."""

import re
from typing import Any

import grpc

from schema.errors import RanklineError


class CallError(RanklineError):
    """The server answered with an error, or did not answer.

    Attributes:
        code: the gRPC status code.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(CallError):
    """No server was reachable at the target before the deadline."""


class DeadlineError(CallError, TimeoutError):
    """The answer took longer than the deadline."""


class NotFoundError(CallError):
    """The server does not serve this model."""


class LoadError(RanklineError):
    """The server could not load the model and serves no other version of it."""


_KINDS: dict[grpc.StatusCode, type[CallError]] = {
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
}


def call_error(error: Any, target: str, timeout_s: float) -> CallError:
    """Converts a grpc.RpcError.

    Args:
        error: the error of the call.
        target: the server's `host:port`.
        timeout_s: the deadline of the call, in seconds.
    """
    code = error.code()
    return _KINDS.get(code, CallError)(code, _message(code, error.details(), target, timeout_s))


def _message(code: grpc.StatusCode, details: str, target: str, timeout_s: float) -> str:
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{target}: expected an answer within {timeout_s:g} s, received none"
        # If a name has several addresses, gRPC reports only the last one; others may have failed for other reasons.
        case grpc.StatusCode.UNAVAILABLE if re.search(f":{re.escape(target)}: .*Connection refused", details):
            return f"nobody listens at {target}"
        case grpc.StatusCode.UNAVAILABLE if "handshake failed" in details or "Verification" in details:
            return f"{target} does not speak TLS, or not with a certificate that is trusted ({details})"
        case grpc.StatusCode.UNAVAILABLE if "Socket closed" in details:
            return f"{target} hung up; perhaps it expects TLS, or a certificate of its clients ({details})"
        case grpc.StatusCode.UNAVAILABLE:
            return f"no server answers at {target} ({details})"
    return f"{target} answered {code.name}: {details}"
