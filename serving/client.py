"""A typed client for ranking models behind TF Serving's gRPC API: the embedded server's or the real one's.

::

    with Client("127.0.0.1:8500", "movielens") as client:
        best = client.rank({"user_id": 42, "age": 33}, {"movie_id": [1, 50, 181]}, k=2)
        best[0].index, best[0].score  # which candidate, and its probability
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from tensorflow_serving.apis import predict_pb2

from serving.channel import Tls, TlsError, connect
from serving.errors import CallError, DeadlineError, LoadError, NotFoundError, UnavailableError
from serving.features import FeatureError, Value
from serving.model_client import RANK_SIGNATURE, Answer, ModelClient, Ranked, VersionStatus
from serving.tensors import Array

__all__ = [
    "CallError",
    "Client",
    "DeadlineError",
    "FeatureError",
    "LoadError",
    "NotFoundError",
    "Ranked",
    "Tls",
    "TlsError",
    "UnavailableError",
    "VersionStatus",
]

_PARALLEL_CALLS = 8

_T = TypeVar("_T")


class Client(ModelClient):
    """Asks one model of one server, and waits for the answers; a context manager. May be used by several threads."""

    def rank(
        self, context: Mapping[str, Value], candidates: Mapping[str, Sequence[Value]], k: int | None = None
    ) -> list[Ranked]:
        """Ranks candidates by the model's probability, or by the number that it predicts.

        Args:
            context: what all candidates share (the user), by column name.
            candidates: by column name, a value for each candidate. A column that is in neither is missing, as
                is a None. Columns with several values take a list of them. Of no candidates (`{"movie_id": []}`)
                the ranking is empty, and nobody is asked.
            k: how many to return; None is all.

        Returns:
            The best first; of equals the one that came first.

        Raises:
            FeatureError: the features do not fit the model's rank signature.
            CallError: there is no answer.
        """
        return _finished(self._rank(context, candidates, k))

    def rank_request(
        self, context: Mapping[str, Value], candidates: Mapping[str, Sequence[Value]]
    ) -> predict_pb2.PredictRequest:
        """The message that `rank` asks for one call's candidates with, to be sent by others: as load, as warm-up.

        Raises:
            FeatureError: the features do not fit the model's rank signature.
            CallError: the server does not say what that is.
        """
        return _finished(self._rank_request(context, candidates))

    def predict(self, examples: Sequence[bytes]) -> dict[str, Array]:
        """Scores examples.

        Args:
            examples: serialized tf.Examples with the raw features.

        Returns:
            The model's answers by name, such as `probability` and `logit`, float32 [N] each.

        Raises:
            CallError: there is no answer.
        """
        return _finished(self._predict_examples(examples))

    def status(self) -> list[VersionStatus]:
        """The versions of the model that the server has or had, newest first.

        Raises:
            CallError: there is no answer; NotFoundError if it never had one.
        """
        return _finished(self._versions(self._timeout_s))

    def wait_until_available(self, timeout_s: float, version: int | None = None, grace_s: float | None = None) -> int:
        """Waits for the server to be up and to serve the model.

        Args:
            timeout_s: seconds to wait at most.
            version: wait for this version or a later one; None is any.
            grace_s: seconds until somebody must listen who has the model, be it still loading; None is `timeout_s`.

        Returns:
            The latest version that is served.

        Raises:
            LoadError: the server could not load it.
            UnavailableError: nobody listens after `grace_s`.
            NotFoundError: who listens does not have the model after `grace_s`.
            DeadlineError: it takes longer.
        """
        return _finished(self._wait_until_available(timeout_s, version, grace_s))

    def close(self) -> None:
        """Closes the connection."""
        self._threads.shutdown()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, target: str, tls: Tls | None) -> Any:
        self._threads = ThreadPoolExecutor(_PARALLEL_CALLS, "rank")
        return connect(target, tls)

    async def _send(self, method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
        return method(request, timeout=timeout_s)

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def _rank_all(self, calls: Sequence[Mapping[str, Array]], version: int | None) -> list[Answer]:
        return list(self._threads.map(lambda inputs: _finished(self._predict(RANK_SIGNATURE, inputs, version)), calls))


def _finished(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """What a coroutine returns that never waits for another: the calls that it makes block."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(_T, end.value)
    raise AssertionError("expected calls that block")
