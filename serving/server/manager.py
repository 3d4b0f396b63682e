"""The life of every version: when it is loaded, published, drained and dropped, and what state it is in.

After TF Serving's core/{aspired_versions_manager,availability_preserving_policy,basic_manager}.cc: a new
version is loaded beside the old one and published only when it is ready; the old one is then withdrawn, and
dropped when its last request is answered. Versions that ended stay listed with their state.
"""

import enum
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from grpc import StatusCode
from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from serving.server.servable import Servable, ServableId
from serving.server.status import StatusError, invalid_argument, not_found

_log = logging.getLogger(__name__)
_StateProto = get_model_status_pb2.ModelVersionStatus.State

LoadServable = Callable[[ServableId, str], Servable]


class State(enum.IntEnum):
    """Where a version is in its life; numbered as in `ModelVersionStatus.State`."""

    START = _StateProto.Value("START")
    LOADING = _StateProto.Value("LOADING")
    AVAILABLE = _StateProto.Value("AVAILABLE")
    UNLOADING = _StateProto.Value("UNLOADING")
    END = _StateProto.Value("END")


class VersionStatus(NamedTuple):
    """A version's state, and why its last load failed, if it did."""

    version: int
    state: State
    error: StatusError | None


class LoadError(Exception):
    """The version that should be served cannot be loaded, and no other one is served."""


class NotAvailableError(TimeoutError):
    """No version became available in time."""


@dataclass(eq=False)
class _Version:
    """What the manager remembers of a version.

    Attributes:
        aspired: it should be served.
        error: why the last attempt to load it failed.
        failures: how many attempts failed.
        due: when to load it, in seconds of the monotonic clock.
    """

    id: ServableId
    path: str
    aspired: bool = True
    state: State = State.START
    error: StatusError | None = None
    failures: int = 0
    due: float = 0.0

    @property
    def pending(self) -> bool:
        """It should be loaded, now or when the next attempt is due."""
        return self.aspired and self.state in (State.START, State.LOADING)

    @property
    def failed(self) -> bool:
        """It should be served but cannot be loaded, and no further attempt will be made."""
        return self.aspired and self.state is State.END and self.error is not None


@dataclass(eq=False)
class _Loaded:
    """A servable, and how many requests are using it."""

    servable: Servable
    requests: int = 0


class Manager:
    """All versions of all models. `aspire` and `reconcile` belong to one thread, the rest to any."""

    def __init__(self, load: LoadServable, max_num_load_retries: int, load_retry_interval_s: float) -> None:
        """A manager with nothing to serve yet.

        Args:
            load: loads and warms up a version from its folder, or raises (a StatusError, if it can).
            max_num_load_retries: further attempts at a version that fails to load.
            load_retry_interval_s: time between two attempts.
        """
        self._load_servable = load
        self._max_num_load_retries = max_num_load_retries
        self._load_retry_interval_s = load_retry_interval_s
        self._changed = threading.Condition()  # guards everything below
        self._versions: dict[str, dict[int, _Version]] = {}
        self._loaded: dict[ServableId, _Loaded] = {}
        self._published: dict[tuple[str, int | None], _Loaded] = {}  # None: the latest version
        self._labels: Mapping[str, Mapping[str, int]] = {}

    def aspire(self, name: str, paths: Mapping[int, str]) -> None:
        """Says which versions of a model should be served from now on; `reconcile` brings it about.

        Args:
            name: of the model.
            paths: version number to folder.
        """
        with self._changed:
            versions = self._versions.setdefault(name, {})
            for version in versions.values():
                # One that was withdrawn and has ended does not come back: it begins anew, below.
                version.aspired = version.id.version in paths and (version.aspired or version.state != State.END)
                if not version.aspired and version.state in (State.START, State.LOADING):
                    version.state = State.END
            for number, path in paths.items():
                if number not in versions or not versions[number].aspired:
                    versions[number] = _Version(ServableId(name, number), path)
            self._changed.notify_all()

    def assign_labels(self, labels: Mapping[str, Mapping[str, int]], unavailable_too: bool = False) -> None:
        """Says which version a label stands for, in place of all that was said before.

        Args:
            labels: label to version, by model.
            unavailable_too: allow a version that is not AVAILABLE, for a label that is new or stays.

        Raises:
            StatusError: a version is not AVAILABLE; all labels stay as they were.
        """
        with self._changed:
            for name, versions in labels.items():
                for label, number in versions.items():
                    new_or_kept = self._labels.get(name, {}).get(label, number) == number
                    if (name, number) not in self._published and not (unavailable_too and new_or_kept):
                        raise StatusError(
                            StatusCode.FAILED_PRECONDITION,
                            f"Request to assign label to version {number} of model {name}, which is not currently "
                            "available for inference",
                        )
            self._labels = labels

    def reconcile(self) -> float | None:
        """Loads and unloads until what is served is what should be, as far as that is possible now.

        Returns:
            Seconds until a version that failed to load is to be tried again, if there is one.
        """
        while step := self._next_step():
            action, version = step
            action(version)
        with self._changed:
            due = [version.due for version in self._all() if version.pending]
        return max(0.0, min(due) - time.monotonic()) if due else None

    @contextmanager
    def servable(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """The servable that a request asks for; it is not dropped before the block is left.

        Raises:
            StatusError: no such model or version is being served.
        """
        with self._changed:
            loaded = self._find(spec)
            loaded.requests += 1
        try:
            yield loaded.servable
        finally:
            with self._changed:
                loaded.requests -= 1
                if not loaded.requests:
                    self._changed.notify_all()

    def models(self) -> set[str]:
        """The names of all models that there are or were."""
        with self._changed:
            return set(self._versions)

    def statuses(self, name: str) -> list[VersionStatus]:
        """All versions of a model that there are or were, newest first."""
        with self._changed:
            versions = sorted(self._versions.get(name, {}).items(), reverse=True)
            return [VersionStatus(number, version.state, version.error) for number, version in versions]

    def wait_until_available(self, name: str, timeout_s: float) -> int:
        """Waits for a model to be served.

        Returns:
            The latest available version.

        Raises:
            LoadError: the version that should be served cannot be loaded; the message says why.
            NotAvailableError: nothing was served within the time.
        """

        def settled() -> bool:
            versions = self._versions.get(name, {}).values()
            loading = any(version.pending for version in versions)
            return (name, None) in self._published or (not loading and any(version.failed for version in versions))

        with self._changed:
            self._changed.wait_for(settled, min(timeout_s, threading.TIMEOUT_MAX))
            if latest := self._published.get((name, None)):
                return latest.servable.id.version
            errors = [
                f"version {number}: {version.error}"
                for number, version in sorted(self._versions.get(name, {}).items())
                if version.aspired and version.error
            ]
            if settled():
                raise LoadError(f"model {name} cannot be loaded, {'; '.join(errors)}")
            raise NotAvailableError(
                f"model {name} was not available after {timeout_s:g} s" + (f", {'; '.join(errors)}" if errors else "")
            )

    def wait_until_settled(self, name: str, timeout_s: float) -> VersionStatus | None:
        """Waits until the newest version of a model that should be served is, or no further attempt will be made.

        Returns:
            What became of it; None if the time is over.
        """

        def newest() -> _Version | None:
            versions = [version for version in self._versions.get(name, {}).values() if version.aspired]
            version = max(versions, key=lambda version: version.id.version, default=None)
            return version if version and version.state in (State.AVAILABLE, State.END) else None

        with self._changed:
            version = self._changed.wait_for(newest, timeout_s)
            return VersionStatus(version.id.version, version.state, version.error) if version else None

    def close(self) -> None:
        """Unloads everything, waiting for requests in flight."""
        for version in self._all():
            if version.state is State.AVAILABLE:
                self._unload(version)

    def _all(self) -> list[_Version]:
        return [version for versions in self._versions.values() for version in versions.values()]

    def _find(self, spec: model_pb2.ModelSpec) -> _Loaded:
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        number, request = None, f"Latest({spec.name})"
        match spec.WhichOneof("version_choice"):
            case "version":
                number = spec.version.value
                request = f"Specific({spec.name}, {number})"
            case "version_label":
                number = self._labels.get(spec.name, {}).get(spec.version_label)
                if number is None:
                    raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
                request = f"Specific({spec.name}, {number})"
        loaded = self._published.get((spec.name, number))
        if loaded is None:
            raise not_found(f"Servable not found for request: {request}")
        return loaded

    def _next_step(self) -> tuple[Callable[[_Version], None], _Version] | None:
        now = time.monotonic()
        with self._changed:
            for versions in self._versions.values():
                if version := _to_unload(versions.values()):
                    return self._unload, version
                if version := _to_load(versions.values(), now):
                    return self._load, version
        return None

    def _load(self, version: _Version) -> None:
        with self._changed:
            version.state = State.LOADING
            self._changed.notify_all()
        started = time.monotonic()
        try:
            servable = self._load_servable(version.id, version.path)
        except StatusError as error:
            self._load_failed(version, error)
        except Exception as error:  # whatever is wrong with a model, the others must go on being served
            self._load_failed(version, StatusError(StatusCode.INTERNAL, f"{type(error).__name__}: {error}"))
        else:
            with self._changed:
                version.state, version.error = State.AVAILABLE, None
                self._loaded[version.id] = _Loaded(servable)
                self._publish(version.id.name)
            _log.info("Model %s version %d is AVAILABLE, loaded in %.1f s", *version.id, time.monotonic() - started)

    def _load_failed(self, version: _Version, error: StatusError) -> None:
        with self._changed:
            version.error = error
            version.failures += 1
            retry = version.failures <= self._max_num_load_retries
            if retry:
                version.due = time.monotonic() + self._load_retry_interval_s
            else:
                version.state = State.END
            serving = self._published.get((version.id.name, None))
            self._changed.notify_all()
        _log.error(
            "Model %s version %d cannot be loaded: %s%s%s",
            *version.id,
            error,
            f"; version {serving.servable.id.version} is still served" if serving else "",
            f"; next attempt in {self._load_retry_interval_s:g} s" if retry else "",
        )

    def _unload(self, version: _Version) -> None:
        with self._changed:
            version.state = State.UNLOADING
            loaded = self._loaded.pop(version.id)
            self._publish(version.id.name)
            self._changed.wait_for(lambda: not loaded.requests)
        loaded.servable.close()
        with self._changed:
            version.state = State.END
            self._changed.notify_all()

    def _publish(self, name: str) -> None:
        """Makes exactly the loaded versions of a model visible to requests."""
        others = {key: loaded for key, loaded in self._published.items() if key[0] != name}
        versions: dict[tuple[str, int | None], _Loaded] = {
            servable_id: loaded for servable_id, loaded in self._loaded.items() if servable_id.name == name
        }
        if versions:
            versions[name, None] = self._loaded[max(key for key in self._loaded if key.name == name)]
        self._published = others | versions
        self._changed.notify_all()


def _to_unload(versions: Collection[_Version]) -> _Version | None:
    """The oldest version to withdraw, if enough others serve: AvailabilityPreservingPolicy's first rule."""
    unwanted = [version for version in versions if not version.aspired and version.state is State.AVAILABLE]
    aspired = [version for version in versions if version.aspired]
    replaced = any(version.state is State.AVAILABLE for version in aspired)
    if unwanted and (not aspired or replaced or len(unwanted) > 1):
        return min(unwanted, key=lambda version: version.id.version)
    return None


def _to_load(versions: Collection[_Version], now: float) -> _Version | None:
    """The newest version to load: AvailabilityPreservingPolicy's second rule."""
    due = [version for version in versions if version.pending and version.due <= now]
    return max(due, key=lambda version: version.id.version, default=None)
