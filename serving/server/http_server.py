"""HTTP connections: reads requests, writes replies, and tolerates malformed input.

Replies to requests that do not reach an application are those of TF Serving's server, which is libevent with
util/net_http on top.
"""

import contextlib
import logging
import re
import socket
import sys
import threading
import zlib
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

_log = logging.getLogger(__name__)

_MAX_CONNECTIONS = 1000  # each takes a thread
_SILENCE_S = 30.0
_STOP_GRACE_S = 5.0
_CHUNK_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 16
_MAX_UNCOMPRESSED_BYTES = 100 << 20

_VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # others are not implemented
_CHARACTER = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_TARGET = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*)?(?P<path>{_CHARACTER}*)"
    rf"(?P<rest>(?:\?(?:{_CHARACTER}|\?)*)?(?:#(?:{_CHARACTER}|\?)*)?)"
)


class Request(NamedTuple):
    """An HTTP request.

    Attributes:
        verb: the method, such as GET or POST.
        path: the path, still percent-encoded.
        rest: the query and fragment with their marks, or "".
        origin: the origin of the web page that sends the request, or "".
        body: the uncompressed body.
    """

    verb: str
    path: str
    rest: str
    origin: str
    body: bytes

    @property
    def target(self) -> str:
        """The path, query and fragment, which TF Serving does not separate."""
        return self.path + self.rest


class Reply(NamedTuple):
    """An HTTP reply."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class HttpServer(ThreadingHTTPServer):
    """A server with a thread for each connection."""

    daemon_threads = True
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, host: str, port: int, answer: Callable[[Request], Reply | None]) -> None:
        """Opens the port. `serve_forever` then answers requests.

        Args:
            host: the address to listen on.
            port: the port; 0 chooses a free one.
            answer: a function that answers a request, or returns None if there is nothing at its path.

        Raises:
            OSError: the port is in use or not permitted.
        """
        self.answer = answer
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        super().__init__((host, port), _Handler)  # closes the socket if it cannot listen

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuses connections beyond the limit."""
        return len(self._connections) < _MAX_CONNECTIONS

    def opened(self, connection: socket.socket) -> None:
        """Registers a connection."""
        with self._changed:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Unregisters a connection."""
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def server_close(self) -> None:
        """Closes the port, and each connection after its pending request is answered."""
        super().server_close()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the client has closed it already
                    connection.shutdown(socket.SHUT_RD)
            self._changed.wait_for(lambda: not self._connections, _STOP_GRACE_S)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs errors, except those of clients that disconnect before they are answered."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("A connection ended in an unforeseen way")


class _BadRequestError(Exception):
    """The end of the request cannot be determined."""


class _GoneError(Exception):
    """The client closed the connection in the middle of a request."""


class _Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    server: HttpServer
    protocol_version = "HTTP/1.1"  # keeps connections open
    default_request_version = "HTTP/1.0"  # unreadable requests are answered with headers, too
    disable_nagle_algorithm = True
    wbufsize = -1  # a short reply is a single packet
    timeout = _SILENCE_S

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.closed(self.connection)

    def __getattr__(self, name: str) -> Any:
        verb = name.removeprefix("do_")
        if verb in _VERBS:
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        try:
            body = self._body()
        except _BadRequestError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        except _GoneError:
            self.close_connection = True
            return
        target = _TARGET.fullmatch(self.path)
        if not target:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if "gzip" in self.headers.get("Content-Encoding", ""):
            body = _uncompressed(body)
        origin = self.headers.get("Origin", "")
        reply = self.server.answer(Request(self.command, target["path"] or "/", target["rest"], origin, body))
        if reply is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(reply)

    def handle_expect_100(self) -> bool:
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        phrase = HTTPStatus(code).phrase
        page = f"<HTML><HEAD>\n<TITLE>{code} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
        self.close_connection = True
        self._send(Reply(code, "text/html", page.encode()))

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Date", self.date_time_string())
        for name, value in reply.headers:
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise _BadRequestError
        return self._read(int(length))

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            body += self._read(size)
            self._read_line()
        while self._read_line():  # trailers
            pass
        return bytes(body)

    def _chunk_size(self) -> int:
        digits = self._read_line().split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
            raise _BadRequestError
        return int(digits, 16)

    def _read_line(self) -> bytes:
        line = self.rfile.readline(_MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise _BadRequestError if len(line) == _MAX_LINE_BYTES else _GoneError
        return line.rstrip(b"\r\n")

    def _read(self, size: int) -> bytes:
        """Reads `size` bytes, but allocates memory only for bytes that have arrived."""
        content = bytearray()
        while len(content) < size:
            chunk = self.rfile.read(min(size - len(content), _CHUNK_BYTES))
            if not chunk:
                raise _GoneError
            content += chunk
        return bytes(content)


def _uncompressed(body: bytes) -> bytes:
    """Uncompresses a body; returns nothing if it is not gzip or is too long, as in TF Serving."""
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = decompressor.decompress(body, _MAX_UNCOMPRESSED_BYTES)
    except zlib.error:
        return b""
    return content if decompressor.eof else b""
