"""A typed client for ranking models behind TF Serving's gRPC API, on the embedded server or on TF Serving.

::

    with Client("127.0.0.1:8500", "movielens") as client:
        best = client.recommend({"user_id": 42, "age": 33}, k=10, exclude=[50])
        best[0].item, best[0].score, best[0].title
        some = client.rank({"user_id": 42, "age": 33}, items=[1, 50, 181])
        some[0].index, some[0].score  # the candidate's index and probability
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
from serving.model_client import Answer, IdColumns, ModelClient, Ranked, Recommended, VersionStatus
from serving.tensor_proto import Array

__all__ = [
    "CallError",
    "Client",
    "DeadlineError",
    "FeatureError",
    "LoadError",
    "NotFoundError",
    "Ranked",
    "Recommended",
    "Tls",
    "TlsError",
    "UnavailableError",
    "VersionStatus",
]

_PARALLEL_CALLS = 8

_T = TypeVar("_T")


class Client(ModelClient):
    """A blocking client for one model on one server. Several threads may use it. It is a context manager."""

    def rank(
        self,
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]] | None = None,
        k: int | None = None,
        *,
        items: Sequence[int | str] | None = None,
    ) -> list[Ranked]:
        """Ranks candidates by the model's probability, or by the number that it predicts.

        Give either `candidates` or `items`.

        Args:
            context: column name -> the value that all candidates share, such as the user's.
            candidates: column name -> a value for each candidate. Multi-valent columns take a list for each candidate.
                None is a missing value, and columns in neither mapping are missing. For no candidates
                (`{"movie_id": []}`), the ranking is empty, and the server is not called.
            k: the number of candidates to return; None returns all.
            items: the ids of candidates, for a model that knows the items: it looks up their other columns.

        Returns:
            The best candidates first; candidates with equal scores in the order given.

        Raises:
            FeatureError: the features do not fit the model's signature, or the model does not know the items.
            CallError: the server does not answer, or answers with an error.
            ValueError: neither candidates nor items are given, or both, or `k` is not positive.
        """
        return _finished(self._rank(context, candidates, k, items))

    def recommend(
        self, context: Mapping[str, Value], k: int = 10, exclude: Sequence[int | str] = ()
    ) -> list[Recommended]:
        """Ranks all items that the model knows.

        Args:
            context: column name -> the value of the context, such as the user's. Columns that are not in the mapping
                are missing.
            k: the length of the list, 1 to 10,000.
            exclude: the ids of items to leave out, such as those that the user has seen.

        Returns:
            The best items first; fewer than `k` if the model knows no more.

        Raises:
            FeatureError: the features do not fit the model's signature, or the model does not know the items.
            CallError: the server does not answer, or answers with an error, such as INVALID_ARGUMENT for another `k`.
        """
        return _finished(self._recommend(context, k, exclude))

    def recommends(self) -> bool:
        """Whether the model knows the items, so that `recommend` can be called.

        Raises:
            CallError: the server does not answer, or answers with an error.
        """
        return _finished(self._recommends())

    def id_columns(self) -> IdColumns:
        """The inputs of requests that name items by their ids.

        Raises:
            FeatureError: the model does not know the items.
            CallError: the server does not answer, or answers with an error.
        """
        return _finished(self._id_columns())

    def rank_request(
        self,
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]] | None = None,
        *,
        items: Sequence[int | str] | None = None,
    ) -> predict_pb2.PredictRequest:
        """The request that `rank` would send for these candidates in one call, for use as load or warm-up.

        Raises:
            FeatureError: the features do not fit the model's signature.
            CallError: the server does not return the signature.
        """
        return _finished(self._rank_request(context, candidates, items))

    def predict(self, examples: Sequence[bytes]) -> dict[str, Array]:
        """Scores examples.

        Args:
            examples: N serialized tf.Examples with the raw columns.

        Returns:
            Output name -> the model's answers, such as `probability` and `logit`, float32 [N] each.

        Raises:
            CallError: the server does not answer, or answers with an error.
        """
        return _finished(self._predict_examples(examples))

    def status(self) -> list[VersionStatus]:
        """The versions of the model that the server has or had, newest first.

        Raises:
            NotFoundError: the server never had a version of the model.
            CallError: the server does not answer, or answers with another error.
        """
        return _finished(self._versions(self._timeout_s))

    def wait_until_available(self, timeout_s: float, version: int | None = None, grace_s: float | None = None) -> int:
        """Waits until the server is up and serves the model.

        Args:
            timeout_s: the longest time to wait, in seconds.
            version: the version to wait for, or any later one; None accepts every version.
            grace_s: the seconds after which a server must be reachable and have the model, if only in state LOADING;
                None is `timeout_s`.

        Returns:
            The latest version that is served.

        Raises:
            LoadError: the server could not load the model.
            UnavailableError: no server is reachable after `grace_s`.
            NotFoundError: the server does not have the model after `grace_s`.
            DeadlineError: the model is not served after `timeout_s`.
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

    async def _predict_all(
        self, signature: str, calls: Sequence[Mapping[str, Array]], version: int | None
    ) -> list[Answer]:
        return list(self._threads.map(lambda inputs: _finished(self._predict(signature, inputs, version)), calls))


def _finished(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never suspends, since all calls in it block."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(_T, end.value)
    raise AssertionError("expected calls that block")
