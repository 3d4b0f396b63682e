"""How a command calls a server, and the errors that tell users what to do when it does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from schema.errors import RanklineError
from serving.client import Client, NotFoundError, UnavailableError

_GRACE_S = 0.3
"""How long a command looks for a server that listens and has the model, in seconds."""
LOADING_S = 600.0
"""How long a server may take to load a model, in seconds: 1,200 columns take minutes on a busy machine."""


@contextlib.contextmanager
def errors_for_people() -> Iterator[None]:
    """Turns the errors of calls in a `with` block into errors that say what to do.

    Raises:
        RanklineError: a call failed, or does not fit the model.
    """
    try:
        yield
    except UnavailableError as error:
        raise no_server(error) from error
    except NotFoundError as error:
        raise RanklineError(f"{error}; it serves another dataset's models, or has none yet") from error


def no_server(error: Exception) -> RanklineError:
    """The error of a server that does not answer, with how to start one."""
    return RanklineError(f"{error}; `rankline serve` starts a server")


def wait_while_loading(client: Client) -> None:
    """Waits while a running server loads the model. Without a server it fails at once, so that the user can start one.

    Raises:
        RanklineError: no server listens, or it cannot load the model, or takes too long.
    """
    with errors_for_people():
        client.wait_until_available(LOADING_S, grace_s=_GRACE_S)
