"""Errors of requests, with a gRPC status code and a message, for both gRPC and REST."""

from grpc import StatusCode

_CODES = {code.value[0]: code for code in StatusCode}


class StatusError(Exception):
    """A request or a load failed, with the status that the client receives.

    Attributes:
        code: the gRPC status code.
        message: the message, which says what was expected and what was received.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def from_number(cls, number: int, message: str) -> "StatusError":
        """Creates an error from the number of a status code in TensorFlow's errors and protocol messages."""
        return cls(_CODES.get(number, StatusCode.UNKNOWN), message)

    @property
    def number(self) -> int:
        """The number of the code in protocol messages."""
        return int(self.code.value[0])


def invalid_argument(message: str) -> StatusError:
    """An error for a request that is wrong, whatever the state of the server."""
    return StatusError(StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """An error for a request whose model or version does not exist."""
    return StatusError(StatusCode.NOT_FOUND, message)
