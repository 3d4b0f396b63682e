"""Keeps the manager in line with the configuration: new versions, other models, other labels.

After TF Serving's model_servers/server_core.cc, `ReloadConfig`.
"""

import logging
import threading
import time

from grpc import StatusCode
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.server import model_config, storage
from serving.server.manager import Manager
from serving.server.request_log import RequestLogs
from serving.server.status import StatusError, invalid_argument

_log = logging.getLogger(__name__)

_NEW_MODEL_TIMEOUT_S = 600.0


class Core:
    """Controls a manager. `run` belongs to one thread; other methods may be called from any thread."""

    def __init__(self, manager: Manager, logs: RequestLogs, poll_wait_s: float, labels_for_unavailable: bool) -> None:
        """Creates a core without a configuration.

        Args:
            manager: the manager, which loads and unloads versions.
            logs: the logs of requests.
            poll_wait_s: the seconds between two searches for new versions; 0 searches only after a new configuration.
            labels_for_unavailable: whether to allow a new label for a version that is not loaded.
        """
        self._manager = manager
        self._logs = logs
        self._poll_wait_s = poll_wait_s
        self._labels_for_unavailable = labels_for_unavailable
        self._configuring = threading.Lock()
        self._config = ModelServerConfig()
        self._problems: dict[str, str] = {}
        self._wake = threading.Event()
        self._poll_now = True
        self._stopping = False

    def configure(self, config: ModelServerConfig) -> set[str]:
        """Switches to a configuration.

        Returns:
            The names of new models.

        Raises:
            StatusError: the configuration is invalid, and nothing changes; or only its request logging is invalid, and
                the rest takes effect.
        """
        if config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest."
                " Only ModelConfigList is currently supported"
            )
        with self._configuring:
            model_config.check(config, self._config)
            models = config.model_config_list.config
            self._manager.assign_labels(
                {model.name: dict(model.version_labels) for model in models}, self._labels_for_unavailable
            )
            before = {model.name for model in self._config.model_config_list.config}
            self._config = ModelServerConfig()
            self._config.CopyFrom(config)
            self._poll_now = True
        self._wake.set()
        # Last, as in TF Serving: if the logging is invalid, the rest has taken effect.
        self._logs.configure({model.name: model.logging_config for model in models if model.HasField("logging_config")})
        return {model.name for model in models} - before

    def reload(self, config: ModelServerConfig) -> None:
        """Switches to a configuration and waits until new models are served.

        Raises:
            StatusError: as for `configure`, or a new model cannot be loaded.
        """
        failures = []
        for name in sorted(self.configure(config)):
            version = self._manager.wait_until_settled(name, _NEW_MODEL_TIMEOUT_S)
            if version is None:
                failures.append(f"{{{name}}}, ")
            elif version.error is not None:
                reason = f"{version.error.code.name}: {version.error}"
                failures.append(f"{{{{name: {name} version: {version.version}}} due to error: {reason}}}, ")
        if failures:
            raise StatusError(
                StatusCode.UNKNOWN, f"{len(failures)} model(s) did not become available: {{{''.join(failures)}}}"
            )

    def run(self) -> None:
        """Searches for versions, and loads and unloads them, until `stop` is called."""
        next_poll = 0.0
        while not self._stopping:
            self._wake.clear()
            try:
                if self._poll_now or (self._poll_wait_s and time.monotonic() >= next_poll):
                    self._poll()
                    next_poll = time.monotonic() + self._poll_wait_s
                retry_in = self._manager.reconcile()
            except Exception:
                _log.exception("Looking for new versions failed in an unforeseen way; what is served stays")
                retry_in = None
            poll_in = max(0.0, next_poll - time.monotonic()) if self._poll_wait_s else None
            self._wake.wait(min(s for s in (poll_in, retry_in, threading.TIMEOUT_MAX) if s is not None))

    def stop(self) -> None:
        """Ends `run`."""
        self._stopping = True
        self._wake.set()

    def _poll(self) -> None:
        with self._configuring:
            self._poll_now = False
            models = {model.name: model for model in self._config.model_config_list.config}
        for name in self._manager.models() - models.keys():
            self._manager.aspire(name, {})
        for model in models.values():
            self._poll_model(model)

    def _poll_model(self, model: ModelConfig) -> None:
        problem = ""
        try:
            versions = storage.aspired_versions(model.base_path, model.model_version_policy)
        except OSError as error:
            problem = f"cannot be listed ({error})"
        else:
            if versions is None:
                problem = "does not exist"
            else:
                self._manager.aspire(model.name, versions)
                problem = "" if versions else "has no numbered folder to serve"
        if problem and problem != self._problems.get(model.name):
            _log.warning("Base path %s %s; waiting for a version", model.base_path, problem)
        self._problems[model.name] = problem
