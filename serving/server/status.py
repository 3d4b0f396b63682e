"""How a request fails: with one of gRPC's status codes and a message, over gRPC and over REST alike."""

from grpc import StatusCode

_CODES = {code.value[0]: code for code in StatusCode}


class StatusError(Exception):
    """A request or a load that failed, with the status that the client gets to see.

    Attributes:
        code: the canonical status code.
        message: what was expected, and what was received.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def from_number(cls, number: int, message: str) -> "StatusError":
        """From a status code as TensorFlow's errors and protocol messages number it."""
        return cls(_CODES.get(number, StatusCode.UNKNOWN), message)

    @property
    def number(self) -> int:
        """The code as protocol messages number it."""
        return int(self.code.value[0])


def invalid_argument(message: str) -> StatusError:
    """The request is wrong, whatever the state of the server."""
    return StatusError(StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> StatusError:
    """The model or version that was asked for is not there."""
    return StatusError(StatusCode.NOT_FOUND, message)
