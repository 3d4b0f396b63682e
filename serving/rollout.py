"""Rolls out versions by moving the labels of a model's versions, on TF Serving or the embedded server.

Requests name a label instead of a version. `stable` is the version for all users, `canary` is a newer version on trial,
and `previous` is the former stable version, which stays loaded so that a rollback needs no loading::

    canary(3)      stable: 2, canary: 3
    promote()      stable: 3, previous: 2
    rollback()     stable: 2, previous: 3

A server accepts a label only for a loaded version, so a move takes two configurations. The first adds the new version
to the old ones. Once it is AVAILABLE, the second moves the labels and unloads the versions without one.

A configuration is a server's whole list of models. For a server with one model it is built from scratch. For a server
with several, it is the content of its `--model_config_file`, and the file is updated, too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig as _Config

from schema.errors import RanklineError
from serving.channel import Tls, connect
from serving.errors import UnavailableError, call_error

STABLE, CANARY, PREVIOUS = "stable", "canary", "previous"
LABELS = (STABLE, CANARY, PREVIOUS)

_CALL_TIMEOUT_S = 30.0
_POLL_S = 0.1
_State = get_model_status_pb2.ModelVersionStatus.State


class RolloutError(RanklineError):
    """The labels cannot be moved as requested. They stay as they were."""


class UnreachableError(RolloutError):
    """A server does not answer."""


class Rollout:
    """The labels of one model on one or more servers; a context manager."""

    def __init__(
        self,
        targets: Sequence[str],
        model_name: str,
        base_path: str,
        config_file: Path | None = None,
        timeout_s: float = 120.0,
        tls: Tls | None = None,
    ) -> None:
        """Creates a rollout, without a call to a server.

        Args:
            targets: the gRPC addresses `host:port` of servers that serve the same versions.
            model_name: the name of the model.
            base_path: the model's folder as the servers see it; unused if there is a configuration file.
            config_file: the servers' `--model_config_file`, for servers of several models.
            timeout_s: the longest time that a version may take to load, in seconds.
            tls: the TLS options; None is no TLS.

        Raises:
            TlsError: a file of `tls` is missing or has other contents.
        """
        self._servers = [_Server(target, model_name, tls) for target in targets]
        self._model_name = model_name
        self._base_path = base_path
        self._config_file = config_file
        self._timeout_s = timeout_s

    def labels(self) -> dict[str, int]:
        """Label -> version, for the labels that exist.

        Raises:
            RolloutError: a server does not answer, or the servers have different labels.
        """
        found = {server.target: server.labels() for server in self._servers}
        first, *others = found.values()
        if any(labels != first for labels in others):
            raise RolloutError(
                "expected the same labels on all servers, received "
                + "; ".join(f"{target}: {_listed(labels)}" for target, labels in found.items())
                + "; give one server at a time and bring them together"
            )
        return first

    def states(self) -> dict[int, str]:
        """Version -> state, for the versions that the first server has or had."""
        return {version: state for version, (state, _) in self._servers[0].states().items()}

    def canary(self, version: int) -> dict[str, int]:
        """Puts a version on trial beside the stable one. If no version is stable yet, the latest served one becomes it.

        Returns:
            The new labels.

        Raises:
            RolloutError: the version is the stable one or cannot be loaded.
        """
        labels = self.labels()
        stable = labels.get(STABLE) or self._latest_available()
        if version == stable:
            raise RolloutError(
                f"version {version} of model {self._model_name} is the stable one: expected another as canary"
            )
        return self._move(labels, {**labels, STABLE: stable, CANARY: version})

    def promote(self, version: int | None = None) -> dict[str, int]:
        """Makes a version the stable one. The former stable version becomes the previous one.

        Args:
            version: the version; None is the canary.

        Returns:
            The new labels.

        Raises:
            RolloutError: there is no canary, or the version cannot be loaded.
        """
        labels = self.labels()
        if version is None and CANARY not in labels:
            raise RolloutError(f"model {self._model_name} has no canary: say which version to promote")
        promoted = labels[CANARY] if version is None else version
        stable = labels.get(STABLE)
        if stable == promoted:
            return labels
        return self._move(labels, {STABLE: promoted} | ({PREVIOUS: stable} if stable else {}))

    def rollback(self) -> dict[str, int]:
        """Makes the previous version the stable one and withdraws the canary.

        Returns:
            The new labels.

        Raises:
            RolloutError: there is no previous version.
        """
        labels = self.labels()
        if PREVIOUS not in labels:
            raise RolloutError(
                f"model {self._model_name} has no previous version: only what was promoted can be rolled back"
            )
        return self._move(labels, {STABLE: labels[PREVIOUS], PREVIOUS: labels[STABLE]})

    def withdraw(self) -> dict[str, int]:
        """Ends the canary's trial. The other labels stay.

        Returns:
            The new labels.
        """
        labels = self.labels()
        return self._move(labels, {label: version for label, version in labels.items() if label != CANARY})

    def close(self) -> None:
        """Closes the connections."""
        for server in self._servers:
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _latest_available(self) -> int:
        available = [version for version, state in self.states().items() if state == "AVAILABLE"]
        if not available:
            raise RolloutError(f"model {self._model_name} has no version that is served")
        return max(available)

    def _move(self, labels: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
        served = set(labels.values()) or {self._latest_available()}
        before = self._config(labels)
        try:
            self._apply(self._with(before, served | set(wanted.values()), labels))
            for server in self._servers:
                server.wait_until_available(set(wanted.values()), self._timeout_s)
            self._apply(self._with(before, set(wanted.values()), wanted))
        except RolloutError:
            self._apply(before)
            raise
        return dict(wanted)

    def _config(self, labels: Mapping[str, int]) -> _Config:
        """The current configuration: that of the file, or else one built from the labels."""
        config = _Config()
        if self._config_file is None:
            config.model_config_list.config.add(
                name=self._model_name, base_path=self._base_path, model_platform="tensorflow"
            )
            return self._with(config, set(labels.values()), labels) if labels else config
        try:
            text_format.Parse(self._config_file.read_text(encoding="utf-8"), config)
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise RolloutError(
                f"{self._config_file}: expected a ModelServerConfig as text, received {error}"
            ) from error
        names = [entry.name for entry in config.model_config_list.config]
        if names.count(self._model_name) != 1:
            raise RolloutError(
                f"{self._config_file}: expected one config with the name {self._model_name!r}, "
                f"received {', '.join(map(repr, names)) or 'none'}"
            )
        return config

    def _with(self, config: _Config, versions: set[int], labels: Mapping[str, int]) -> _Config:
        changed = _Config()
        changed.CopyFrom(config)
        (entry,) = (entry for entry in changed.model_config_list.config if entry.name == self._model_name)
        entry.ClearField("model_version_policy")
        entry.model_version_policy.specific.versions.extend(sorted(versions))
        for label in LABELS:
            entry.version_labels.pop(label, None)
        entry.version_labels.update(labels)
        return changed

    def _apply(self, config: _Config) -> None:
        if self._config_file:
            # The file is written first, since a server that polls it would return to the old configuration.
            _write(self._config_file, text_format.MessageToString(config))
        for server in self._servers:
            server.reload(config)


class _Server:
    """One of the servers, and its labels."""

    def __init__(self, target: str, model_name: str, tls: Tls | None) -> None:
        self.target = target
        self._model_name = model_name
        self._channel = connect(target, tls)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def labels(self) -> dict[str, int]:
        """Label -> version. No call lists the labels, so each one is resolved."""
        found = {label: self._version_of(label) for label in LABELS}
        return {label: version for label, version in found.items() if version is not None}

    def states(self) -> dict[int, tuple[str, str]]:
        """Version -> state and error, the newest first."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=self._model_name))
        try:
            response = self._models.GetModelStatus(request, timeout=_CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise self._failed(error) from error
        return {
            status.version: (_State.Name(status.state), status.status.error_message)
            for status in response.model_version_status
        }

    def reload(self, config: _Config) -> None:
        request = model_management_pb2.ReloadConfigRequest(config=config)
        try:
            response = self._models.HandleReloadConfigRequest(request, timeout=_CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise self._failed(error) from error
        if response.status.error_code:
            raise RolloutError(f"{self.target} refused the configuration: {response.status.error_message}")

    def wait_until_available(self, versions: set[int], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            known = self.states()
            states = {version: known.get(version, ("unknown", "")) for version in sorted(versions)}
            if all(state == "AVAILABLE" for state, _ in states.values()):
                return
            for version, (state, error) in states.items():
                if error and (state == "END" or time.monotonic() >= deadline):
                    raise RolloutError(f"{self.target} cannot load version {version}: {error}")
            if time.monotonic() >= deadline:
                seen = ", ".join(f"version {version} is {state}" for version, (state, _) in states.items())
                raise RolloutError(
                    f"{self.target}: expected all to be AVAILABLE within {timeout_s:g} s, but {seen}; "
                    "is each a folder of the model's base path?"
                )
            time.sleep(_POLL_S)

    def close(self) -> None:
        self._channel.close()

    def _version_of(self, label: str) -> int | None:
        spec = model_pb2.ModelSpec(name=self._model_name, version_label=label)
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        try:
            response = self._prediction.GetModelMetadata(request, timeout=_CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                return None
            raise self._failed(error) from error
        return int(response.model_spec.version.value)

    def _failed(self, error: grpc.RpcError) -> RolloutError:
        failed = call_error(error, self.target, _CALL_TIMEOUT_S)
        return (UnreachableError if isinstance(failed, UnavailableError) else RolloutError)(str(failed))


def _listed(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{label} {version}" for label, version in labels.items()) or "none"


def _write(path: Path, text: str) -> None:
    """Replaces a file atomically, since a server may be reading it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as beside:
        beside.write(text)
    shutil.copymode(path, beside.name)
    os.replace(beside.name, path)
