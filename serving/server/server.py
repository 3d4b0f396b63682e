"""The server as a whole: storage is polled, versions come and go, and the ports answer for them."""

import contextlib
import logging
import threading
import time
from concurrent import futures
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server import storage
from serving.server.api import Api
from serving.server.grpc_services import ModelService, PredictionService
from serving.server.manager import LoadServable, Manager, NotAvailableError
from serving.server.rest import RestServer
from serving.server.servable import Servable, ServableId

_log = logging.getLogger(__name__)

_GRPC_THREADS = 4  # TensorFlow has its own; more of Python's only take turns
_GRPC_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a port that is in use is an error, not shared
]
_STOP_GRACE_S = 5.0


@dataclass(frozen=True)
class ServerOptions:
    """What to serve, and where. Named after `tensorflow_model_server`'s flags.

    Attributes:
        model_name: the model's name in requests.
        model_base_path: folder with a numbered folder for each version; may be missing or empty yet.
        port: for gRPC; 0 is a free one.
        rest_api_port: for HTTP; 0 is a free one, None is no HTTP.
        host: address to listen on.
        file_system_poll_wait_seconds: between two looks for new versions; 0 looks once.
        max_num_load_retries: further attempts at a version that fails to load; 0 makes a failure final at once.
        load_retry_interval_micros: between two attempts, in microseconds.
    """

    model_name: str
    model_base_path: str
    port: int = 0
    rest_api_port: int | None = None
    host: str = "127.0.0.1"
    file_system_poll_wait_seconds: float = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000


class PortError(Exception):
    """A port cannot be listened on."""


def _load(servable_id: ServableId, path: str) -> Servable:
    # Only now, because it takes TensorFlow's runtime a second to be imported: the ports are open first.
    from serving.server import saved_model

    return saved_model.load(servable_id, path)


class Server:
    """Serves one model until it is stopped; a context manager.

    A first version may be long in coming: the ports are open at once, and the model is there when
    `wait_until_available` returns.
    """

    def __init__(self, options: ServerOptions, load: LoadServable = _load) -> None:
        """A server that is not started yet.

        Args:
            options: what to serve and where.
            load: makes a version servable.
        """
        self.options = options
        self._manager = Manager(load, options.max_num_load_retries, options.load_retry_interval_micros / 1_000_000)
        self._stopping = threading.Event()
        self._running = contextlib.ExitStack()
        self._storage_problem = ""
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
        """Opens the ports and begins to look for versions; returns at once.

        Raises:
            PortError: a port cannot be listened on; nothing runs then.
        """
        with contextlib.ExitStack() as starting:
            starting.callback(self._manager.close)
            api = Api(self._manager)
            self._port = self._start_grpc(api, starting)
            addresses = f"{self.options.host}:{self._port} (gRPC)"
            if self.options.rest_api_port is not None:
                self._rest_api_port = self._start_rest(api, self.options.rest_api_port, starting)
                addresses += f" and {self.options.host}:{self._rest_api_port} (REST)"
            _log.info(
                "Listening on %s, model %s from %s",
                addresses,
                self.options.model_name,
                self.options.model_base_path,
            )
            self._start_manager(starting)
            self._running = starting.pop_all()

    def stop(self) -> None:
        """Answers what has been asked, closes the ports and drops the model. A second call does nothing."""
        self._running.close()

    def wait_until_available(self, timeout_s: float) -> int:
        """Waits until the model is served.

        Args:
            timeout_s: seconds to wait at most.

        Returns:
            The version that is served.

        Raises:
            LoadError: it cannot be loaded; the message says why (a failing warm-up request included).
            NotAvailableError: it takes longer, or there is no version to load.
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
        threads = futures.ThreadPoolExecutor(_GRPC_THREADS, "grpc")
        starting.callback(threads.shutdown)
        server = grpc.server(threads, options=_GRPC_OPTIONS)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(api), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(api), server)
        try:
            port: int = server.add_insecure_port(f"{self.options.host}:{self.options.port}")
        except RuntimeError as error:
            raise _port_error(self.options.host, self.options.port, "--port") from error
        server.start()
        starting.callback(lambda: server.stop(_STOP_GRACE_S).wait())
        return port

    def _start_rest(self, api: Api, port: int, starting: contextlib.ExitStack) -> int:
        try:
            server = RestServer(self.options.host, port, api)
        except OSError as error:
            raise _port_error(self.options.host, port, "--rest_api_port") from error
        starting.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, name="rest", daemon=True)
        thread.start()
        starting.callback(thread.join)
        starting.callback(server.shutdown)
        return int(server.server_address[1])

    def _start_manager(self, starting: contextlib.ExitStack) -> None:
        thread = threading.Thread(target=self._manage, name="manager", daemon=True)
        thread.start()
        starting.callback(thread.join)
        starting.callback(self._stopping.set)

    def _manage(self) -> None:
        """Looks for versions and brings about what they ask for, until the server stops."""
        interval = self.options.file_system_poll_wait_seconds
        next_poll: float | None = time.monotonic()
        while not self._stopping.is_set():
            try:
                if next_poll is not None and time.monotonic() >= next_poll:
                    self._poll()
                    next_poll = time.monotonic() + interval if interval else None
                retry_in = self._manager.reconcile()
            except Exception:
                _log.exception("Looking for new versions failed in an unforeseen way; what is served stays")
                retry_in = None
            poll_in = None if next_poll is None else max(0.0, next_poll - time.monotonic())
            self._stopping.wait(min((s for s in (poll_in, retry_in) if s is not None), default=None))

    def _poll(self) -> None:
        path, problem = self.options.model_base_path, ""
        try:
            versions = storage.aspired_versions(path)
        except OSError as error:
            problem = f"cannot be listed ({error})"
        else:
            if versions is None:
                problem = "does not exist"
            else:
                self._manager.aspire(self.options.model_name, versions)
                problem = "" if versions else "has no numbered folder"
        if problem and problem != self._storage_problem:
            _log.warning("Base path %s %s; waiting for a version", path, problem)
        self._storage_problem = problem


def _port_error(host: str, port: int, flag: str) -> PortError:
    return PortError(
        f"cannot listen on {host}:{port}: the port is in use or not permitted. "
        f"Stop what listens there, or choose another one with {flag}."
    )
