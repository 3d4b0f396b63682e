"""A typed client for programs that run in an event loop.

::

    async with AsyncClient("127.0.0.1:8500", "movielens") as client:
        best = await client.recommend({"user_id": 42, "age": 33}, k=10)
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from serving.channel import Tls, connect_async
from serving.features import Value
from serving.model_client import Answer, IdColumns, ModelClient, Ranked, Recommended, VersionStatus
from serving.tensor_proto import Array


class AsyncClient(ModelClient):
    """A client for one model on one server. Any number of tasks of one event loop may use it.

    Its methods are those of `serving.client.Client`, with the same arguments, results and exceptions, but awaited.
    """

    async def rank(
        self,
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]] | None = None,
        k: int | None = None,
        *,
        items: Sequence[int | str] | None = None,
    ) -> list[Ranked]:
        """Ranks candidates; see `Client.rank`."""
        return await self._rank(context, candidates, k, items)

    async def recommend(
        self, context: Mapping[str, Value], k: int = 10, exclude: Sequence[int | str] = ()
    ) -> list[Recommended]:
        """Ranks all items that the model knows; see `Client.recommend`."""
        return await self._recommend(context, k, exclude)

    async def recommends(self) -> bool:
        """Whether `recommend` can be called; see `Client.recommends`."""
        return await self._recommends()

    async def id_columns(self) -> IdColumns:
        """The inputs of requests that name items by their ids; see `Client.id_columns`."""
        return await self._id_columns()

    async def predict(self, examples: Sequence[bytes]) -> dict[str, Array]:
        """Scores serialized tf.Examples; see `Client.predict`."""
        return await self._predict_examples(examples)

    async def status(self) -> list[VersionStatus]:
        """The versions of the model that the server has or had, newest first; see `Client.status`."""
        return await self._versions(self._timeout_s)

    async def wait_until_available(
        self, timeout_s: float, version: int | None = None, grace_s: float | None = None
    ) -> int:
        """Waits until the server serves the model; see `Client.wait_until_available`."""
        return await self._wait_until_available(timeout_s, version, grace_s)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _connect(self, target: str, tls: Tls | None) -> Any:
        return connect_async(target, tls)

    async def _send(self, method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
        return await method(request, timeout=timeout_s)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _predict_all(
        self, signature: str, calls: Sequence[Mapping[str, Array]], version: int | None
    ) -> list[Answer]:
        return await asyncio.gather(*(self._predict(signature, inputs, version) for inputs in calls))
