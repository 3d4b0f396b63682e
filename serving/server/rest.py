"""The API over HTTP with JSON: state and metadata of the models.

Paths, bodies and status codes after TF Serving's model_servers/http_rest_api_{handler,util}.cc and
http_server.cc.
"""

import json
import logging
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving.server.api import Api
from serving.server.metadata import SIGNATURE_DEF
from serving.server.status import StatusError, invalid_argument

_log = logging.getLogger(__name__)

_MODEL = r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_GET = re.compile(_MODEL + r"(?:/(?P<resource>metadata))?", re.IGNORECASE)
_POST = re.compile(_MODEL + r":(?P<method>classify|regress|predict)", re.IGNORECASE)

_CHUNK_BYTES = 1 << 16

_HTTP_STATUS = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.ABORTED: HTTPStatus.CONFLICT,
    StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


class RestServer(ThreadingHTTPServer):
    """An HTTP server for an `Api`."""

    daemon_threads = True

    def __init__(self, host: str, port: int, api: Api) -> None:
        """Opens the port; `serve_forever` answers.

        Raises:
            OSError: it is in use, or not ours to use.
        """
        super().__init__((host, port), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: RestServer
    protocol_version = "HTTP/1.1"  # keeps connections open
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        self._respond("GET")

    def do_POST(self) -> None:
        self._skip_body()
        self._respond("POST")

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)

    def _skip_body(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True  # where the next request begins is unknown
            return
        left = int(length)
        while left and (chunk := self.rfile.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)

    def _respond(self, verb: str) -> None:
        try:
            status, body = HTTPStatus.OK, self._answer(verb, self.path.split("?", 1)[0])
        except StatusError as error:
            status = _HTTP_STATUS.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
            body = {"error": error.message}
        except Exception:
            _log.exception("A request failed in an unforeseen way")
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body = {"error": "The server failed to answer; its log says why."}
        encoded = json.dumps(body, indent=1).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(encoded)

    def _answer(self, verb: str, path: str) -> Any:
        if verb == "POST" and (match := _POST.fullmatch(path)):
            raise StatusError(
                StatusCode.UNIMPLEMENTED, f":{match['method']} is answered over gRPC only, not over REST yet"
            )
        if verb != "GET" or not (match := _GET.fullmatch(path)):
            raise invalid_argument(f"Malformed request: {verb} {path}")
        if not match["name"]:
            raise invalid_argument("Missing model name in request.")
        spec = _model_spec(match)
        return _metadata(self.server.api, spec) if match["resource"] else _status(self.server.api, spec)


def _model_spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"]))
    if match["version"]:
        try:
            spec.version.value = int(match["version"])
        except ValueError:
            raise invalid_argument(f"Failed to convert version: {match['version']} to numeric.") from None
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _status(api: Api, spec: model_pb2.ModelSpec) -> Any:
    return _json(api.get_model_status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec)))


def _metadata(api: Api, spec: model_pb2.ModelSpec) -> Any:
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
    response = api.get_model_metadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signatures)
    return {"model_spec": _json(response.model_spec), "metadata": {SIGNATURE_DEF: _json(signatures)}}


def _json(message: Any) -> Any:
    return json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )
