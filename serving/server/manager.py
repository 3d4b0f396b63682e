"""The life cycle of versions: loading, publishing, draining and unloading.

After TF Serving's core/{aspired_versions_manager,availability_preserving_policy,basic_manager}.cc: a new version is
loaded beside the old one and published when it is ready. The old version is then withdrawn, and unloaded when its last
request is answered. Versions that have ended stay listed with their state.
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
    """The state of a version, numbered as in `ModelVersionStatus.State`."""

    START = _StateProto.Value("START")
    LOADING = _StateProto.Value("LOADING")
    AVAILABLE = _StateProto.Value("AVAILABLE")
    UNLOADING = _StateProto.Value("UNLOADING")
    END = _StateProto.Value("END")


class VersionStatus(NamedTuple):
    """A version's state, and the error of its last load, if it failed."""

    version: int
    state: State
    error: StatusError | None


class LoadError(Exception):
    """The version that should be served cannot be loaded, and no other one is served."""


class NotAvailableError(TimeoutError):
    """No version became available in time."""


@dataclass(eq=False)
class _Version:
    """The manager's record of a version.

    Attributes:
        id: the model's name and the version's number.
        path: the folder of the version.
        aspired: whether it should be served.
        state: its state.
        error: the error of the last failed attempt to load it.
        failures: the number of failed attempts.
        due: the time of the next attempt, in seconds of the monotonic clock.
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
        """Whether it should be loaded, now or when the next attempt is due."""
        return self.aspired and self.state in (State.START, State.LOADING)

    @property
    def failed(self) -> bool:
        """Whether it should be served but cannot be loaded, with no attempts left."""
        return self.aspired and self.state is State.END and self.error is not None


@dataclass(eq=False)
class _Loaded:
    """A servable, and the number of requests that use it."""

    servable: Servable
    requests: int = 0


class Manager:
    """All versions of all models. One thread calls `aspire` and `reconcile`; any thread may call the other methods."""

    def __init__(self, load: LoadServable, max_num_load_retries: int, load_retry_interval_s: float) -> None:
        """Creates a manager without versions.

        Args:
            load: a function that loads and warms up a version from its folder. It should raise a StatusError if it
                fails; other exceptions become status INTERNAL.
            max_num_load_retries: the number of further attempts if a version fails to load.
            load_retry_interval_s: the seconds between two attempts.
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
        """Sets the versions of a model that should be served. `reconcile` then loads and unloads them.

        Args:
            name: the name of the model.
            paths: version number -> folder.
        """
        with self._changed:
            versions = self._versions.setdefault(name, {})
            for version in versions.values():
                # A withdrawn version that has ended is not revived: if it returns, it gets a new record below.
                version.aspired = version.id.version in paths and (version.aspired or version.state != State.END)
                if not version.aspired and version.state in (State.START, State.LOADING):
                    version.state = State.END
            for number, path in paths.items():
                if number not in versions or not versions[number].aspired:
                    versions[number] = _Version(ServableId(name, number), path)
            self._changed.notify_all()

    def assign_labels(self, labels: Mapping[str, Mapping[str, int]], unavailable_too: bool = False) -> None:
        """Replaces the labels of all models.

        Args:
            labels: model -> label -> version.
            unavailable_too: whether a label that is new or unchanged may be on a version that is not AVAILABLE.

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
        """Loads and unloads versions until those that should be served are, as far as possible now.

        Returns:
            The seconds until the next attempt at a version that failed to load; None if there is no such version.
        """
        while step := self._next_step():
            action, version = step
            action(version)
        with self._changed:
            due = [version.due for version in self._all() if version.pending]
        return max(0.0, min(due) - time.monotonic()) if due else None

    @contextmanager
    def servable(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """Yields the servable that a request asks for. It is not unloaded before the block ends.

        Raises:
            StatusError: no such model or version is served.
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
        """The names of all current and former models."""
        with self._changed:
            return set(self._versions)

    def statuses(self, name: str) -> list[VersionStatus]:
        """All current and former versions of a model, newest first."""
        with self._changed:
            versions = sorted(self._versions.get(name, {}).items(), reverse=True)
            return [VersionStatus(number, version.state, version.error) for number, version in versions]

    def wait_until_available(self, name: str, timeout_s: float) -> int:
        """Waits until a model is served.

        Returns:
            The latest available version.

        Raises:
            LoadError: the version that should be served cannot be loaded; the message says why.
            NotAvailableError: no version is served after `timeout_s`.
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
        """Waits until the newest version of a model that should be served is served or has failed for good.

        Returns:
            The status of that version; None after `timeout_s`.
        """

        def newest() -> _Version | None:
            versions = [version for version in self._versions.get(name, {}).values() if version.aspired]
            version = max(versions, key=lambda version: version.id.version, default=None)
            return version if version and version.state in (State.AVAILABLE, State.END) else None

        with self._changed:
            version = self._changed.wait_for(newest, timeout_s)
            return VersionStatus(version.id.version, version.state, version.error) if version else None

    def close(self) -> None:
        """Unloads all versions after their pending requests are answered."""
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
        except Exception as error:  # a broken model must not stop the others
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
        """Makes the loaded versions of a model, and no others, visible to requests."""
        others = {key: loaded for key, loaded in self._published.items() if key[0] != name}
        versions: dict[tuple[str, int | None], _Loaded] = {
            servable_id: loaded for servable_id, loaded in self._loaded.items() if servable_id.name == name
        }
        if versions:
            versions[name, None] = self._loaded[max(key for key in self._loaded if key.name == name)]
        self._published = others | versions
        self._changed.notify_all()


def _to_unload(versions: Collection[_Version]) -> _Version | None:
    """The oldest version to withdraw, if enough others are served: AvailabilityPreservingPolicy's first rule."""
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
