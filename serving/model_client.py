"""The base of both clients: requests to a model server, independent of how a client waits for the answers.

Everything but the waiting is written once, as coroutines. `AsyncClient` awaits them. The calls of `Client` block, so
its coroutines never suspend.
"""

import abc
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import grpc
import numpy as np
import tenacity
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from schema.answers import RANKED_BY
from schema.errors import listing
from schema.signatures import EXCLUDE, ITEMS, KNOWN, RANK, RANK_IDS, RECOMMEND, TITLES, K
from serving import features
from serving.channel import Tls
from serving.errors import CallError, DeadlineError, LoadError, NotFoundError, UnavailableError, call_error
from serving.features import Column, FeatureError, Value
from serving.tensor_proto import Array, fill_content, to_array

EXAMPLES_SIGNATURE = "serving_default"

_EQUALLY_MANY_ROWS = "input tensors must have equal 0th-dimension size"
"""The error of a server that batches requests and therefore needs the context repeated for each candidate."""

_LONGEST_DEADLINE_S = 366 * 24 * 60 * 60.0
"""The longest deadline to pass on. If a deadline is beyond the range of gRPC's clock, gRPC takes it to be over."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.05, 1.0
_STATUS_POLL_S = 0.1

_T = TypeVar("_T")
Answer: TypeAlias = tuple[int, dict[str, Array]]
"""The version that answered, and output name -> array."""


@dataclass(frozen=True)
class Ranked:
    """A candidate in a ranking.

    Attributes:
        index: the candidate's index in the request, from 0.
        score: the model's probability or number for the candidate.
    """

    index: int
    score: float
    known: bool = True
    """False for an id that the model does not know: its score is that of an item without a description."""


@dataclass(frozen=True)
class Recommended:
    """An item in a recommended list.

    Attributes:
        item: the item's id.
        score: the model's probability or number for the item.
        title: the item's title; None if the model has no titles.
    """

    item: int | str
    score: float
    title: str | None = None


class VersionStatus(NamedTuple):
    """A version of a model on a server.

    Attributes:
        version: the number of the version.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: the reason why it failed to load; "" if it did not fail.
    """

    version: int
    state: str
    error: str


class IdColumns(NamedTuple):
    """The inputs of a request that names items by their ids.

    Attributes:
        context: the columns that describe the context. An optional one may be left out, since the model knows the
            latest value.
        item: the column of the ids.
    """

    context: Mapping[str, Column]
    item: Column


class _Signatures(NamedTuple):
    """The inputs of the signatures that rank, by name, and the version that has these signatures."""

    version: int
    columns: Mapping[str, Mapping[str, Column]]
    recommend: Collection[str]
    """The names of the inputs of `recommend`; empty if the version has no such signature."""

    def of(self, name: str) -> Mapping[str, Column]:
        """The inputs of a signature.

        Raises:
            FeatureError: the model has no such signature.
        """
        if name not in self.columns:
            raise FeatureError(
                f"version {self.version}: expected a signature {name!r}, received {listing(self.columns)}; the "
                "models of datasets with a ranking have it, up to 'served_items'"
            )
        return self.columns[name]


class ModelClient(abc.ABC):
    """A client for one model on one server: the base of `Client` and `AsyncClient`."""

    def __init__(
        self,
        target: str,
        model_name: str,
        timeout_s: float = 10.0,
        version: int | None = None,
        label: str = "",
        chunk: int | None = None,
        tls: Tls | None = None,
    ) -> None:
        """Creates a client, which connects at its first call.

        Args:
            target: the server's `host:port`.
            model_name: the name of the model.
            timeout_s: the deadline of each call in seconds, including retries; `math.inf` is no deadline. Calls are
                retried only if the server was UNAVAILABLE, after random and growing pauses.
            version: the version to call; None is the latest one that is served.
            label: the label of the version to call, such as "stable". Exclusive with `version`.
            chunk: the number of candidates per call: larger rankings become parallel calls. None makes one call for
                all. The Wide & Deep paper (Cheng et al. 2016, section 5.2) ranks 200 candidates in 14 ms instead of 31
                with calls of 50. This helps if the server has idle processors.
            tls: the TLS options; None is no TLS.

        Raises:
            TlsError: a file of `tls` is missing or has other contents.
            ValueError: `timeout_s` or `chunk` is not positive, or both `version` and `label` are given.
        """
        if not timeout_s > 0:
            raise ValueError(f"timeout_s: expected a positive number of seconds, received {timeout_s}")
        if version is not None and label:
            raise ValueError(f"expected a version or a label, received both: {version} and {label!r}")
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk: expected a positive number of candidates or None, received {chunk}")
        self._target = target
        self._model = model_pb2.ModelSpec(name=model_name)
        if version is not None:
            self._model.version.value = version
        if label:
            self._model.version_label = label
        self._timeout_s = timeout_s
        self._chunk = chunk
        self._signatures: _Signatures | None = None
        self._repeats_context = False
        self._channel = self._connect(target, tls)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    @abc.abstractmethod
    def _connect(self, target: str, tls: Tls | None) -> Any:
        """Opens a channel to the server, and creates whatever else the calls need."""

    @abc.abstractmethod
    async def _send(self, method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
        """Calls a method of a stub."""

    @abc.abstractmethod
    async def _sleep(self, seconds: float) -> None:
        """Waits."""

    @abc.abstractmethod
    async def _predict_all(
        self, signature: str, calls: Sequence[Mapping[str, Array]], version: int | None
    ) -> list[Answer]:
        """Makes calls of `_predict` in parallel."""

    async def _rank(
        self,
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]] | None,
        k: int | None,
        items: Sequence[int | str] | None,
    ) -> list[Ranked]:
        if k is not None and k < 1:
            raise ValueError(f"k: expected a positive number of candidates or None, received {k}")
        if (candidates is None) == (items is None):
            raise ValueError("expected candidates or items, received " + ("neither" if items is None else "both"))

        async def ask(signatures: _Signatures) -> list[dict[str, Array]]:
            if items is None:
                return await self._answers(RANK, signatures.of(RANK), context, candidates or {})
            columns = signatures.of(RANK_IDS)
            return await self._answers(RANK_IDS, columns, context, {_own(ITEMS, columns): items})

        if features.number_of({ITEMS: items} if items is not None else candidates or {}) == 0:
            return []
        answers = await self._ask(ask)
        scores = np.concatenate([answer[_ranked_by(self._model.name, answer)] for answer in answers])
        known = np.concatenate([answer.get(KNOWN, np.ones(len(scores), bool)) for answer in answers])
        order = np.argsort(-scores, kind="stable")[:k]
        return [Ranked(int(index), float(scores[index]), bool(known[index])) for index in order]

    async def _recommend(self, context: Mapping[str, Value], k: int, exclude: Sequence[int | str]) -> list[Recommended]:
        async def ask(signatures: _Signatures) -> dict[str, Array]:
            columns = dict(signatures.of(RANK_IDS if signatures.recommend else RECOMMEND))
            ids = columns.pop(_own(ITEMS, columns))
            inputs = features.context_tensors(columns, context)
            inputs[_own(K, signatures.recommend)] = np.array(k, np.int32)
            inputs[_own(EXCLUDE, signatures.recommend)] = replace(ids, name=EXCLUDE).rows(exclude)
            return (await self._predict(RECOMMEND, inputs))[1]

        answer = await self._ask(ask)
        scores = answer[_ranked_by(self._model.name, answer)].tolist()
        titles = [_text(title) for title in answer[TITLES].tolist()] if TITLES in answer else [None] * len(scores)
        items = [_text(item) for item in answer[ITEMS].tolist()]
        return [Recommended(*entry) for entry in zip(items, scores, titles, strict=True)]

    async def _recommends(self) -> bool:
        return bool((self._signatures or await self._fetch_signatures()).recommend)

    async def _id_columns(self) -> IdColumns:
        columns = dict((self._signatures or await self._fetch_signatures()).of(RANK_IDS))
        item = columns.pop(_own(ITEMS, columns))
        return IdColumns(columns, item)

    async def _rank_request(
        self,
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]] | None,
        items: Sequence[int | str] | None,
    ) -> predict_pb2.PredictRequest:
        signatures = self._signatures or await self._fetch_signatures()
        signature = RANK if items is None else RANK_IDS
        columns = signatures.of(signature)
        asked = (candidates or {}) if items is None else {_own(ITEMS, columns): items}
        return self._request(signature, self._inputs(columns, context, asked))

    async def _wait_until_available(self, timeout_s: float, version: int | None, grace_s: float | None) -> int:
        start = time.monotonic()
        seen = "it has not answered yet"
        while (left := start + timeout_s - time.monotonic()) > 0:
            try:
                versions = await self._versions(left, retry=False)
            except DeadlineError as error:
                seen = str(error)
            except (UnavailableError, NotFoundError) as error:
                if grace_s is not None and time.monotonic() - start > grace_s:
                    raise
                seen = str(error)
            else:
                available = [v.version for v in versions if v.state == "AVAILABLE"]
                if available and max(available) >= (version or 0):
                    return max(available)
                loading = any(version.state in ("START", "LOADING") for version in versions)
                if versions[0].error and not loading:
                    raise LoadError(f"model {self._model.name} version {versions[0].version}: {versions[0].error}")
                seen = ", ".join(f"version {v.version} is {v.state} {v.error}".strip() for v in versions)
            await self._sleep(_STATUS_POLL_S)
        raise DeadlineError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"model {self._model.name}{f' version {version}' if version else ''} at {self._target} was not available "
            f"after {timeout_s:g} s: {seen}",
        )

    async def _ask(self, ask: Callable[[_Signatures], Awaitable[_T]]) -> _T:
        """Asks by the signatures that the server had, and if these do not fit, by those that it has."""
        signatures = self._signatures or await self._fetch_signatures()
        try:
            return await ask(signatures)
        except (FeatureError, CallError) as error:
            if isinstance(error, CallError) and error.code != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            if _EQUALLY_MANY_ROWS in str(error) and not self._repeats_context:
                self._repeats_context = True
                return await ask(signatures)
            # Perhaps the server has switched to a version with other features.
            current = await self._fetch_signatures()
            if current.version == signatures.version:
                raise
        return await ask(current)

    def _inputs(
        self, columns: Mapping[str, Column], context: Mapping[str, Value], candidates: Mapping[str, Sequence[Value]]
    ) -> dict[str, Array]:
        inputs = features.to_tensors(columns, context, candidates)
        if self._repeats_context:
            rows = features.number_of(candidates)
            inputs |= {name: np.repeat(array, rows, axis=0) for name, array in inputs.items() if len(array) != rows}
        return inputs

    async def _answers(
        self,
        signature: str,
        columns: Mapping[str, Column],
        context: Mapping[str, Value],
        candidates: Mapping[str, Sequence[Value]],
    ) -> list[dict[str, Array]]:
        """The answers about all candidates, chunk after chunk."""
        inputs = self._inputs(columns, context, candidates)
        count = features.number_of(candidates)
        chunk = self._chunk or count
        starts = range(0, count, chunk)
        calls = [
            {name: array[start : start + chunk] if len(array) == count else array for name, array in inputs.items()}
            for start in starts
        ]
        return await self._of_one_version(signature, calls)

    async def _of_one_version(self, signature: str, calls: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """The answers of calls that belong together. If two versions have answered, all calls go to the newer one."""
        if len(calls) == 1:
            return [(await self._predict(signature, calls[0]))[1]]
        answers = await self._predict_all(signature, calls, version=None)
        versions = {version for version, _ in answers}
        if len(versions) > 1:
            answers = await self._predict_all(signature, calls, max(versions))
        return [outputs for _, outputs in answers]

    async def _fetch_signatures(self) -> _Signatures:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._model, metadata_field=["signature_def"]
        )
        response = await self._call(self._prediction.GetModelMetadata, request, self._timeout_s)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        version = response.model_spec.version.value
        found = signatures.signature_def
        if RANK not in found:
            raise FeatureError(
                f"model {self._model.name} version {version}: expected a signature {RANK!r}, "
                f"received {', '.join(sorted(found))}"
            )
        columns = {name: features.columns_of(found[name]) for name in (RANK, RANK_IDS) if name in found}
        self._signatures = _Signatures(version, columns, list(found[RECOMMEND].inputs) if RECOMMEND in found else ())
        return self._signatures

    async def _predict_examples(self, examples: Sequence[bytes]) -> dict[str, Array]:
        return (await self._predict(EXAMPLES_SIGNATURE, {"examples": np.array(examples, dtype=object)}))[1]

    async def _predict(self, signature: str, inputs: Mapping[str, Array], version: int | None = None) -> Answer:
        """Calls a signature; `version` overrides the client's choice."""
        request = self._request(signature, inputs)
        if version is not None:
            request.model_spec.version.value = version
        response = await self._call(self._prediction.Predict, request, self._timeout_s)
        outputs = {name: to_array(proto) for name, proto in response.outputs.items()}
        return response.model_spec.version.value, outputs

    def _request(self, signature: str, inputs: Mapping[str, Array]) -> predict_pb2.PredictRequest:
        request = predict_pb2.PredictRequest(model_spec=self._model)
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            fill_content(request.inputs[name], array)
        return request

    async def _versions(self, timeout_s: float, retry: bool = True) -> list[VersionStatus]:
        # Lists all versions, since the client's own one may not exist yet.
        spec = model_pb2.ModelSpec(name=self._model.name)
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        response = await self._call(self._models.GetModelStatus, request, timeout_s, retry)
        return [
            VersionStatus(
                version.version,
                get_model_status_pb2.ModelVersionStatus.State.Name(version.state),
                version.status.error_message,
            )
            for version in response.model_version_status
        ]

    async def _call(self, method: Callable[..., Any], request: Any, timeout_s: float, retry: bool = True) -> Any:
        """Makes a call, with retries if `retry`, all within the deadline."""
        deadline = time.monotonic() + timeout_s
        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            retry=tenacity.retry_if_exception(_is_unavailable),
            wait=tenacity.wait_random_exponential(_FIRST_RETRY_S, _LONGEST_RETRY_S),
            stop=tenacity.stop_before_delay(timeout_s) if retry else tenacity.stop_after_attempt(1),
            reraise=True,
        )

        async def attempt() -> Any:
            left = max(0.0, deadline - time.monotonic())
            return await self._send(method, request, min(left, _LONGEST_DEADLINE_S))

        try:
            return await retrying(attempt)
        except grpc.RpcError as error:
            raise call_error(error, self._target, timeout_s) from error


def _own(name: str, inputs: Collection[str]) -> str:
    """The name that an input beside the columns has among the inputs of a signature, see `own_input`."""
    return f"_{name}" if f"_{name}" in inputs else name


def _ranked_by(model: str, answer: Mapping[str, Array]) -> str:
    """The output to rank by."""
    name = next((name for name in RANKED_BY.values() if name in answer), None)
    if name is None:
        raise FeatureError(
            f"model {model}: expected one of the outputs {', '.join(RANKED_BY.values())} to rank by, "
            f"received {', '.join(sorted(answer))}"
        )
    return name


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE
