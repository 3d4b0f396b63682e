"""The whole server: polls the storage, loads and unloads versions, and answers requests on its ports."""

import contextlib
import logging
import re
import threading
from concurrent import futures
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from serving.server import config_files, model_config, monitoring
from serving.server.api import Api
from serving.server.core import Core
from serving.server.grpc_services import ModelService, PredictionService
from serving.server.http_server import HttpServer
from serving.server.load_options import LoadOptions, load_options
from serving.server.manager import LoadServable, Manager, NotAvailableError
from serving.server.options import ServerOptions
from serving.server.request_log import RequestLogs
from serving.server.rest import RestApi
from serving.server.servable import Servable, ServableId
from serving.server.status import StatusError

_log = logging.getLogger(__name__)

GRPC_THREADS = 4  # TensorFlow has its own threads; more Python threads would only take turns
_BATCHING_THREADS = 64  # each request that waits for others to fill a batch needs a thread
GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a port that is in use is an error, not shared
]
_MAX_REQUESTS = 1000  # at once, including waiting ones; further ones are refused with RESOURCE_EXHAUSTED
_STOP_GRACE_S = 5.0
_STOP_POLL_S = 0.05  # how soon the REST side notices that it should stop


class PortError(Exception):
    """The server cannot listen on a port."""


def _loader(options: LoadOptions) -> LoadServable:
    def load(servable_id: ServableId, path: str) -> Servable:
        # Imported here, since TensorFlow's runtime takes a second to import: the ports open first.
        from serving.server import saved_model

        return saved_model.load(servable_id, path, options)

    return load


class Server:
    """Serves models until it is stopped. It is a context manager.

    The ports open at once, but the first version may take longer: the model is served when `wait_until_available`
    returns.
    """

    def __init__(self, options: ServerOptions, load: LoadServable | None = None) -> None:
        """Creates a server without starting it.

        Args:
            options: the options of the server.
            load: a function that loads a version; None loads SavedModels.

        Raises:
            ConfigFileError: a configuration file cannot be read.
            StatusError: the options contradict each other.
        """
        self.options = options
        load = load or _loader(load_options(options))
        self._manager = Manager(load, options.max_num_load_retries, options.load_retry_interval_micros / 1_000_000)
        self._logs = RequestLogs()
        self._core = Core(
            self._manager,
            self._logs,
            options.file_system_poll_wait_seconds,
            options.allow_version_labels_for_unavailable_models,
        )
        self._stopping = threading.Event()
        self._running = contextlib.ExitStack()
        self._port: int | None = None
        self._rest_api_port: int | None = None

    @property
    def port(self) -> int:
        """The gRPC port.

        Raises:
            RuntimeError: the server is not started.
        """
        if self._port is None:
            raise RuntimeError("the server is not started: use it in a `with` block, or call start()")
        return self._port

    @property
    def rest_api_port(self) -> int | None:
        """The HTTP port, if there is one."""
        return self._rest_api_port

    def start(self) -> None:
        """Opens the ports, begins to search for versions, and returns at once.

        Raises:
            PortError: the server cannot listen on a port; nothing is started.
            ConfigFileError: a configuration file cannot be read.
            StatusError: the configuration is invalid.
        """
        options = self.options
        self._core.configure(
            config_files.read(options.model_config_file, ModelServerConfig)
            if options.model_config_file
            else model_config.of_one_model(options.model_name, options.model_base_path)
        )
        with contextlib.ExitStack() as starting:
            starting.callback(self._manager.close)
            starting.callback(self._logs.close)
            api = Api(self._manager, self._core, self._logs)
            self._port = self._start_grpc(api, starting)
            addresses = f"{self.options.host}:{self._port} (gRPC)"
            if self.options.rest_api_port is not None:
                self._rest_api_port = self._start_rest(api, self.options.rest_api_port, starting)
                addresses += f" and {self.options.host}:{self._rest_api_port} (REST)"
            what = (
                f"the models of {options.model_config_file}"
                if options.model_config_file
                else f"model {options.model_name} from {options.model_base_path}"
            )
            _log.info("Listening on %s, %s", addresses, what)
            self._start_manager(starting)
            self._running = starting.pop_all()

    def stop(self) -> None:
        """Answers pending requests, closes the ports and unloads the models. A second call does nothing."""
        self._running.close()

    def wait_until_available(self, timeout_s: float) -> int:
        """Waits until the model is served.

        Args:
            timeout_s: the longest time to wait, in seconds.

        Returns:
            The version that is served.

        Raises:
            LoadError: the model cannot be loaded or fails its warm-up; the message says why.
            NotAvailableError: no version is served after `timeout_s`.
        """
        try:
            return self._manager.wait_until_available(self.options.model_name, timeout_s)
        except NotAvailableError as error:
            raise NotAvailableError(f"{error}; base path: {self.options.model_base_path}") from None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_grpc(self, api: Api, starting: contextlib.ExitStack) -> int:
        usual = _BATCHING_THREADS if self.options.enable_batching else GRPC_THREADS
        threads = futures.ThreadPoolExecutor(self.options.grpc_max_threads or usual, "grpc")
        starting.callback(threads.shutdown)
        arguments = {**dict(GRPC_OPTIONS), **_channel_arguments(self.options.grpc_channel_arguments)}
        server = grpc.server(threads, options=list(arguments.items()), maximum_concurrent_rpcs=_MAX_REQUESTS)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(api), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(api), server)
        if self.options.enable_grpc_healthcheck_service:
            healthy = health.HealthServicer()
            for service in ("", "ModelService", "PredictionService"):
                healthy.set(service, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        address = f"{self.options.host}:{self.options.port}"
        credentials = _credentials(self.options.ssl_config_file)
        try:
            port: int = (
                server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise _port_error(self.options.host, self.options.port, "--port") from error
        server.start()
        starting.callback(lambda: server.stop(_STOP_GRACE_S).wait())
        return port

    def _start_rest(self, api: Api, port: int, starting: contextlib.ExitStack) -> int:
        timeout_s = self.options.rest_api_timeout_in_ms / 1000
        answer = RestApi(api, self._metrics_path(), timeout_s, self.options.rest_api_enable_cors_support).answer
        try:
            server = HttpServer(self.options.host, port, answer)
        except OSError as error:
            raise _port_error(self.options.host, port, "--rest_api_port") from error
        starting.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, args=(_STOP_POLL_S,), name="rest", daemon=True)
        thread.start()
        starting.callback(thread.join)
        starting.callback(server.shutdown)
        return int(server.server_address[1])

    def _metrics_path(self) -> str:
        if not self.options.monitoring_config_file:
            return ""
        config = config_files.read(self.options.monitoring_config_file, config_files.MonitoringConfig).prometheus_config
        return (config.path or monitoring.PATH) if config.enable else ""

    def _start_manager(self, starting: contextlib.ExitStack) -> None:
        thread = threading.Thread(target=self._core.run, name="manager", daemon=True)
        thread.start()
        starting.callback(thread.join)
        starting.callback(self._core.stop)
        if self.options.model_config_file and self.options.model_config_file_poll_wait_seconds:
            reader = threading.Thread(target=self._reread, name="config", daemon=True)
            reader.start()
            starting.callback(reader.join)
            starting.callback(self._stopping.set)

    def _reread(self) -> None:
        """Reads the configuration file again and again until the server stops."""
        while not self._stopping.wait(min(self.options.model_config_file_poll_wait_seconds, threading.TIMEOUT_MAX)):
            try:
                self._core.configure(config_files.read(self.options.model_config_file, ModelServerConfig))
            except (config_files.ConfigFileError, StatusError) as error:
                _log.error("%s: %s; the configuration before stays", self.options.model_config_file, error)


def _channel_arguments(text: str) -> dict[str, int | str]:
    arguments: dict[str, int | str] = {}
    for argument in filter(None, text.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise config_files.ConfigFileError(f"--grpc_channel_arguments: expected key=value, received {argument!r}")
        arguments[key] = int(value) if re.fullmatch(r"[+-]?\d+", value) else value
    return arguments


def _credentials(ssl_config_file: str) -> grpc.ServerCredentials | None:
    if not ssl_config_file:
        return None
    config = config_files.read(ssl_config_file, config_files.SslConfig)
    if not (config.server_key and config.server_cert):
        raise config_files.ConfigFileError(
            f"{ssl_config_file}: expected server_key and server_cert as PEM text, received one or both empty"
        )
    if config.client_verify and not config.custom_ca:
        raise config_files.ConfigFileError(
            f"{ssl_config_file}: expected custom_ca, by which clients are verified, received none"
        )
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


def _port_error(host: str, port: int, flag: str) -> PortError:
    return PortError(
        f"cannot listen on {host}:{port}: the port is in use or not permitted. "
        f"Stop what listens there, or choose another one with {flag}."
    )
