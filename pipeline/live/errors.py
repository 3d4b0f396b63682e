"""How a command asks a server, and what it tells people who get no answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from schema.errors import RanklineError
from serving.client import Client, NotFoundError, UnavailableError

_GRACE_S = 0.3
"""How long a command looks for a server that listens and has the model."""
LOADING_S = 600.0
"""How long a server may take to load a model: one of 1,200 columns takes minutes on a busy machine."""


@contextlib.contextmanager
def errors_for_people() -> Iterator[None]:
    """What goes wrong when a server is asked, with what to do about it.

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
    """Waits as long as a server that is there is loading the model: who typed a command would rather start one.

    Raises:
        RanklineError: nobody listens, or who does cannot load it, or takes too long.
    """
    with errors_for_people():
        client.wait_until_available(LOADING_S, grace_s=_GRACE_S)
