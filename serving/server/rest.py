"""The API over HTTP with JSON: inference, status and metadata of models, and a page of metrics.

Paths, bodies and status codes follow TF Serving's model_servers/http_rest_api_{handler,util}.cc and
http_server.cc.
"""

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from grpc import StatusCode
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server import json_requests, monitoring
from serving.server.api import Api
from serving.server.http_server import Reply, Request
from serving.server.metadata import SIGNATURE_DEF
from serving.server.status import StatusError, invalid_argument

_log = logging.getLogger(__name__)

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<resource>metadata))?", re.IGNORECASE)
_POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_PATHS = {"GET": _GET, "POST": _POST}
_PREFIX = "/v1/"

_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)

_CLIENT_CLOSED_REQUEST = 499  # not a standard one

_HTTP_STATUS: Mapping[StatusCode, int] = {
    StatusCode.OK: HTTPStatus.OK,
    StatusCode.CANCELLED: _CLIENT_CLOSED_REQUEST,
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


class _UnsaidError(StatusError):
    """A request is refused without a message, since TF Serving has no reply yet at this point."""


class RestApi:
    """Answers HTTP requests with an `Api`."""

    def __init__(self, api: Api, metrics_path: str = "", timeout_s: float | None = None, cors: bool = False) -> None:
        """Creates the REST side of an API.

        Args:
            api: the API that answers.
            metrics_path: the path of the metrics for Prometheus; "" is no such page.
            timeout_s: the time limit of a model in seconds; None is no limit.
            cors: whether pages of any web site may send requests.
        """
        self._headers = _CORS if cors else ()
        self._api = api
        self._timeout_s = timeout_s
        self._metrics_path = metrics_path

    def answer(self, request: Request) -> Reply | None:
        """The reply to a request; None if its path does not belong to the API."""
        if request.path == self._metrics_path:
            return self._metrics(request)
        if not request.path.lower().startswith(_PREFIX):
            return None
        watch = monitoring.Stopwatch()
        if request.verb == "OPTIONS":
            code = StatusCode.OK if re.search("https?://", request.origin) else StatusCode.FAILED_PRECONDITION
            monitoring.record_request("", "", "REST", code, watch)
            return Reply(_HTTP_STATUS[code], "text/html", b"", self._headers)
        pattern = _PATHS.get(request.verb)
        match = pattern.fullmatch(request.target) if pattern else None
        code = StatusCode.OK
        try:
            body = self._answer(request, match)
        except _UnsaidError as error:
            code, body = error.code, b""
        except StatusError as error:
            code, body = error.code, json_requests.from_error(error.message)
        except Exception:
            _log.exception("A request failed in an unforeseen way")
            code = StatusCode.INTERNAL
            body = json_requests.from_error("The server failed to answer; its log says why.")
        names = match.groupdict() if match else {}
        monitoring.record_request(unquote(names.get("name") or ""), names.get("method", ""), "REST", code, watch)
        status = _HTTP_STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
        return Reply(status, "application/json", body, self._headers)

    def _metrics(self, request: Request) -> Reply:
        if request.rest:
            message = f"Unexpected path: {request.target}. Should be {self._metrics_path}"
            return Reply(HTTPStatus.BAD_REQUEST, "text/plain", message.encode())
        return Reply(HTTPStatus.OK, "text/plain", monitoring.page().encode())

    def _answer(self, request: Request, match: re.Match[str] | None) -> bytes:
        malformed = invalid_argument(f"Malformed request: {request.verb} {request.target}")
        if not match:
            raise malformed
        spec = _model_spec(match)
        if request.verb == "POST":
            match match["method"]:
                case "predict":
                    return self._predict(spec, request.body)
                case "classify":
                    return self._classify(spec, request.body)
                case "regress":
                    return self._regress(spec, request.body)
            raise malformed  # the pattern ignores case, but the names of methods do not
        if not spec.name:
            raise invalid_argument("Missing model name in request.")
        return self._metadata(spec) if match["resource"] == "metadata" else self._status(spec)

    def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        request = predict_pb2.PredictRequest(model_spec=spec)
        arrangement = json_requests.fill_predict_request(
            request, body, lambda signature: self._api.inputs(spec, signature)
        )
        return json_requests.from_tensors(self._api.predict(request, self._timeout_s).outputs, arrangement)

    def _classify(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        request = classification_pb2.ClassificationRequest(model_spec=spec)
        json_requests.fill_examples_request(request, body)
        return json_requests.from_classifications(self._api.classify(request, self._timeout_s).result)

    def _regress(self, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        request = regression_pb2.RegressionRequest(model_spec=spec)
        json_requests.fill_examples_request(request, body)
        return json_requests.from_regressions(self._api.regress(request, self._timeout_s).result)

    def _status(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _json(_dict(self._api.get_model_status(request)))

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = self._api.get_model_metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        return _json({"model_spec": _dict(response.model_spec), "metadata": {SIGNATURE_DEF: _dict(signatures)}})


def _model_spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"] or ""))
    if match["version"]:
        try:
            spec.version.value = int(match["version"])
        except ValueError:
            raise _UnsaidError(
                StatusCode.INVALID_ARGUMENT, f"Failed to convert version: {match['version']} to numeric."
            ) from None
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _dict(message: Any) -> Any:
    return json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
