"""Logs a sample of the requests and their responses to files for `rankline monitor`.

TF Serving's own `logging_config` in a model configuration file or a HandleReloadConfigRequest sets what is logged for
each model::

    logging_config {
      log_collector_config { type: "tfrecord" filename_prefix: "/var/log/rankline/movielens" }
      sampling_config { sampling_rate: 0.1 }
    }

Metrics count the records as in TF Serving's core/{request_logger,server_request_logger}.cc. The released
`tensorflow_model_server` has no built-in collector and refuses every such configuration. This server has one, of type
`tfrecord`, and refuses other types with the same message.
"""

import datetime
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from grpc import StatusCode
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config.logging_config_pb2 import LoggingConfig

from serving.server import monitoring
from serving.server.status import invalid_argument

_log = logging.getLogger(__name__)

TYPE = "tfrecord"
"""The type of the `LogCollectorConfig` that this server supports."""

_MAX_WAITING = 1000
"""The largest number of records that wait to be written. Further ones are dropped, so that a slow disk does not delay
answers."""
_MAX_BYTES = 64 << 20
_MAX_SECONDS = 3600
"""The size and age at which a file is closed, so that it can be moved away while the server runs."""


class RequestLogs:
    """The logs of all models."""

    def __init__(self) -> None:
        """Creates logs without a configuration, which log nothing."""
        self._logs: Mapping[str, _Log] = {}

    def configure(self, configs: Mapping[str, LoggingConfig]) -> None:
        """Switches to another configuration.

        Args:
            configs: model -> its configuration, for the models whose requests are logged.

        Raises:
            StatusError: a type of log is not supported, or a name for its files is missing; nothing changes.
        """
        for name, config in configs.items():
            if config.log_collector_config.type != TYPE:
                raise invalid_argument("No request-logger-creator provided.")
            if not config.log_collector_config.filename_prefix:
                raise invalid_argument(
                    f"Model {name}: expected a filename_prefix in log_collector_config, received none"
                )
        before, logs = self._logs, {}
        for name, config in configs.items():
            same = before.get(name)
            logs[name] = same if same and same.config == config else _Log(config)
        self._logs = logs
        for log in set(before.values()) - set(logs.values()):
            log.close()

    def log(self, request: Any, response: Any) -> None:
        """Logs an answered request if requests of its model are logged and the random sample includes it.

        Args:
            request: a request of Predict, Classify, Regress or MultiInference.
            response: its response, with the model that has answered in its model spec.
        """
        if not self._logs:
            return
        spec = response.results[0].model_spec if hasattr(response, "results") else response.model_spec
        if log := self._logs.get(spec.name):
            log.add(spec, request, response)

    def close(self) -> None:
        """Writes the waiting records and closes the files."""
        self.configure({})


_FIELDS = {
    "PredictRequest": "predict_log",
    "ClassificationRequest": "classify_log",
    "RegressionRequest": "regress_log",
    "MultiInferenceRequest": "multi_inference_log",
}


class _Log:
    """The log of a model. Records go through a queue to a thread that writes them."""

    def __init__(self, config: LoggingConfig) -> None:
        self.config = LoggingConfig()
        self.config.CopyFrom(config)
        self._prefix = config.log_collector_config.filename_prefix
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
        self._thread.start()

    def add(self, spec: Any, request: Any, response: Any) -> None:
        if random.random() >= self.config.sampling_config.sampling_rate:  # noqa: S311 (nothing secret depends on it)
            return
        record = prediction_log_pb2.PredictionLog()
        record.log_metadata.model_spec.CopyFrom(spec)
        record.log_metadata.sampling_config.CopyFrom(self.config.sampling_config)
        record.log_metadata.timestamp_secs = int(time.time())
        log = getattr(record, _FIELDS[request.DESCRIPTOR.name])
        log.request.CopyFrom(request)
        log.response.CopyFrom(response)
        try:
            self._waiting.put_nowait((spec.name, record.SerializeToString()))
        except queue.Full:
            monitoring.request_log_count.add(1, spec.name, StatusCode.RESOURCE_EXHAUSTED.name)

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        # Imported here, since TensorFlow's runtime takes a second to import: the ports open first.
        from tensorflow.python.framework import errors
        from tensorflow.python.lib.io import tf_record

        file, written, begun = None, 0, 0.0
        while (waiting := self._waiting.get()) is not None:
            name, record = waiting
            try:
                if file is None:
                    path, begun, written = self._next_path(), time.monotonic(), 0
                    file = tf_record.TFRecordWriter(path)
                file.write(record)
                written += len(record)
                if self._waiting.empty():
                    file.flush()
                monitoring.request_log_count.add(1, name, StatusCode.OK.name)
            except (OSError, errors.OpError) as error:
                _log.error("Requests to model %s cannot be logged to %s*: %s", name, self._prefix, error)
                monitoring.request_log_count.add(1, name, StatusCode.UNAVAILABLE.name)
                file = None
            if file is not None and (written >= _MAX_BYTES or time.monotonic() - begun >= _MAX_SECONDS):
                file.close()
                file = None
        if file is not None:
            file.close()

    def _next_path(self) -> str:
        """The path of a new file. Paths are unique and sort by time."""
        os.makedirs(os.path.dirname(self._prefix) or ".", exist_ok=True)
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
        return f"{self._prefix}-{now}-{os.getpid()}.tfrecord"
