"""A Kubeflow Pipelines server as far as Rankline asks one: its REST API (v2beta1), on loopback, in memory.

It refuses what the real one refuses, as its sources (backend/src/apiserver) have it: fields that the API does not know
or that are of another type, parameters that the pipeline does not have, a cron that is none, in multi-user mode a
namespace that is missing or another's. What it answers are messages of the API too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import email
import http.server
import json
import re
import ssl
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import kfp_server_api as api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests import openapi

MADE = datetime.datetime(2026, 11, 27, 3, 0, tzinfo=datetime.UTC)
"""When all things were made."""
LOGIN_PAGE = "<html>Log in</html>"

_INT64 = {"max_concurrency"}
"""JSON has them as texts or as numbers; the API's models say texts."""
_CRON_FIELD = r"(\*|\?|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?"
_TYPES = {"STRING": str, "LIST": list, "STRUCT": dict, "BOOLEAN": bool, "NUMBER_INTEGER": float, "NUMBER_DOUBLE": float}


class RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass
class PipelinesServer:
    """What the server knows, and how it is to behave."""

    namespaces: Sequence[str] = ()
    """Where there are some it is in multi-user mode, and these are the caller's."""
    lets_in: str | None = None
    """The token that callers need."""
    login_page: bool = False
    """What stands before it answers everything with a page."""
    failures: list[HTTPStatus] = dataclasses.field(default_factory=list)
    """What it answers instead, once each, when it is next asked for a run."""
    course: list[tuple[str, Mapping[str, str]]] = dataclasses.field(default_factory=list)
    """The state of a run and of its tasks, each time that it is asked for one; the last stays."""

    experiments: list[Any] = dataclasses.field(default_factory=list)
    pipelines: list[Any] = dataclasses.field(default_factory=list)
    versions: list[Any] = dataclasses.field(default_factory=list)
    runs: list[Any] = dataclasses.field(default_factory=list)
    recurring_runs: list[Any] = dataclasses.field(default_factory=list)
    tokens: list[str | None] = dataclasses.field(default_factory=list)
    """Of each call."""

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes, headers: Any) -> Any:
        """What a call is answered."""
        authorization = headers.get("Authorization")
        self.tokens.append(authorization)
        if self.lets_in and authorization != f"Bearer {self.lets_in}":
            raise RefusalError(HTTPStatus.UNAUTHORIZED, "Request header error: there is no valid token")
        for route_method, pattern, handle in _ROUTES:
            if (match := re.fullmatch(f"/apis/v2beta1/{pattern}", path)) and method == route_method:
                return handle(self, Call(query, body, headers, *match.groups()))
        raise RefusalError(HTTPStatus.NOT_FOUND, "Not Found")

    def own(self, namespace: str | None) -> str | None:
        """The namespace, as far as there are any.

        Raises:
            RefusalError: it is none of the caller's.
        """
        if not self.namespaces:
            return None
        if not namespace:
            raise RefusalError(
                HTTPStatus.BAD_REQUEST, "Invalid input error: a namespace cannot be empty in multi-user mode"
            )
        if namespace not in self.namespaces:
            raise RefusalError(
                HTTPStatus.FORBIDDEN, f"User is not authorized with reason: none in namespace {namespace}"
            )
        return namespace


@dataclasses.dataclass(frozen=True)
class Call:
    """What a handler is given."""

    query: Mapping[str, str]
    body: bytes
    headers: Any
    id: str = ""

    def message(self, kind: Any) -> Any:
        """The body, if it is such a message."""
        try:
            given = json.loads(self.body)
            texts = {name: str(value) if name in _INT64 else value for name, value in given.items()}
            openapi.check(api, kind, texts)
        except (AssertionError, ValueError) as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"proto: syntax error: {error}") from None
        return _read(kind, texts)

    def file(self) -> str:
        """The file that is uploaded."""
        form = email.message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + self.body)
        (part,) = form.get_payload()
        assert part.get_param("name", header="Content-Disposition") == "uploadfile"
        assert str(part.get_filename()).endswith((".yaml", ".yml"))
        return part.get_payload(decode=True).decode()


def _read(kind: Any, content: Any) -> Any:
    response = type("Response", (), {"data": json.dumps(content)})
    return api.ApiClient().deserialize(response, kind)


def _healthz(server: PipelinesServer, call: Call) -> Any:
    # As the real one, it leaves out what is false.
    return api.V2beta1GetHealthzResponse(multi_user=True if server.namespaces else None)


def _page(call: Call, kind: Any, field: str, found: list[Any]) -> Any:
    start, size = int(call.query.get("page_token") or 0), int(call.query.get("page_size") or 10)
    rest = str(start + size) if start + size < len(found) else None
    return kind(**{field: found[start : start + size] or None, "total_size": len(found), "next_page_token": rest})


def _named(call: Call, found: list[Any]) -> list[Any]:
    if not call.query.get("filter"):
        return found
    content = json.loads(call.query["filter"])
    parsed = [(each["key"], each["operation"], each["stringValue"]) for each in content["predicates"]]
    ((key, operation, value),) = parsed
    assert (key, operation in (1, "EQUALS")) == ("display_name", True)
    return [each for each in found if each.display_name == value]


def _list_experiments(server: PipelinesServer, call: Call) -> Any:
    namespace = server.own(call.query.get("namespace"))
    found = [each for each in server.experiments if each.namespace == namespace]
    return _page(call, api.V2beta1ListExperimentsResponse, "experiments", _named(call, found))


def _create_experiment(server: PipelinesServer, call: Call) -> Any:
    experiment = call.message(api.V2beta1Experiment)
    experiment.namespace = server.own(experiment.namespace)
    experiment.experiment_id, experiment.created_at = str(uuid.uuid4()), MADE
    server.experiments.append(experiment)
    return experiment


def _list_pipelines(server: PipelinesServer, call: Call) -> Any:
    namespace = server.own(call.query.get("namespace"))
    found = [each for each in server.pipelines if each.namespace == namespace]
    return _page(call, api.V2beta1ListPipelinesResponse, "pipelines", _named(call, found))


def _upload_pipeline(server: PipelinesServer, call: Call) -> Any:
    namespace = server.own(call.query.get("namespace"))
    name = call.query["name"]
    pipeline = api.V2beta1Pipeline(pipeline_id=str(uuid.uuid4()), display_name=name, namespace=namespace)
    _add_version(server, pipeline.pipeline_id, name, call.file())
    server.pipelines.append(pipeline)
    return pipeline


def _upload_version(server: PipelinesServer, call: Call) -> Any:
    assert any(pipeline.pipeline_id == call.query["pipelineid"] for pipeline in server.pipelines)
    return _add_version(server, call.query["pipelineid"], call.query["name"], call.file())


def _add_version(server: PipelinesServer, pipeline_id: str, name: str, text: str) -> Any:
    spec, platform = yaml.safe_load_all(text)
    if spec["schemaVersion"] != "2.1.0":
        raise RefusalError(HTTPStatus.BAD_REQUEST, "KFP only supports schema version 2.1.0")
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    version = api.V2beta1PipelineVersion(
        pipeline_id=pipeline_id,
        pipeline_version_id=str(uuid.uuid4()),
        display_name=name,
        pipeline_spec={"pipeline_spec": spec, "platform_spec": platform},
    )
    server.versions.append(version)
    return version


def _list_versions(server: PipelinesServer, call: Call) -> Any:
    found = [version for version in server.versions if version.pipeline_id == call.id]
    return _page(call, api.V2beta1ListPipelineVersionsResponse, "pipeline_versions", _named(call, found))


def _check_inputs(server: PipelinesServer, run: Any) -> None:
    """Whether a run or recurring run is of a version, in an experiment, with parameters that the pipeline has."""
    (namespace,) = (each.namespace for each in server.experiments if each.experiment_id == run.experiment_id)
    server.own(namespace)
    reference = run.pipeline_version_reference
    (version,) = (each for each in server.versions if each.pipeline_version_id == reference.pipeline_version_id)
    assert version.pipeline_id == reference.pipeline_id
    known = version.pipeline_spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    for name, value in run.runtime_config.parameters.items():
        if name not in known:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"Invalid input error: parameter {name} is not in the pipeline")
        kind = _TYPES[known[name]["parameterType"]]
        if not isinstance(value, (int, float) if kind is float else kind):
            raise RefusalError(
                HTTPStatus.BAD_REQUEST, f"Invalid input error: input parameter {name} requires type {kind}"
            )


def _create_run(server: PipelinesServer, call: Call) -> Any:
    run = call.message(api.V2beta1Run)
    _check_inputs(server, run)
    run.run_id, run.created_at, run.state = str(uuid.uuid4()), MADE, "PENDING"
    server.runs.append(run)
    return run


def _get_run(server: PipelinesServer, call: Call) -> Any:
    if server.failures:
        raise RefusalError(server.failures.pop(0), "the server is away")
    (run,) = (run for run in server.runs if run.run_id == call.id)
    state, tasks = server.course.pop(0) if len(server.course) > 1 else server.course[0]
    run.state = state
    run.run_details = api.V2beta1RunDetails(
        task_details=[
            api.V2beta1PipelineTaskDetail(
                display_name=name,
                state=task_state,
                start_time=MADE,
                # As the real one, it says 1970 of what is not over.
                end_time=MADE + datetime.timedelta(seconds=90)
                if task_state not in ("PENDING", "RUNNING")
                else datetime.datetime.fromtimestamp(0, datetime.UTC),
            )
            for name, task_state in tasks.items()
        ]
    )
    return run


def _create_recurring_run(server: PipelinesServer, call: Call) -> Any:
    recurring = call.message(api.V2beta1RecurringRun)
    _check_inputs(server, recurring)
    if not 1 <= int(recurring.max_concurrency) <= 10:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, "Max concurrency of a recurring run must be at least 1 and at most 10."
        )
    fields = recurring.trigger.cron_schedule.cron.split()
    if len(fields) not in (5, 6) or not all(re.fullmatch(f"{_CRON_FIELD}(,{_CRON_FIELD})*", each) for each in fields):
        raise RefusalError(HTTPStatus.BAD_REQUEST, "Invalid input error: Schedule cron is not a supported format")
    recurring.recurring_run_id, recurring.created_at = str(uuid.uuid4()), MADE
    recurring.status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[recurring.mode]
    (recurring.namespace,) = (e.namespace for e in server.experiments if e.experiment_id == recurring.experiment_id)
    server.recurring_runs.append(recurring)
    return recurring


def _list_recurring_runs(server: PipelinesServer, call: Call) -> Any:
    if experiment := call.query.get("experiment_id"):
        found = [each for each in server.recurring_runs if each.experiment_id == experiment]
    else:
        namespace = server.own(call.query.get("namespace"))
        found = [each for each in server.recurring_runs if each.namespace == namespace]
    return _page(call, api.V2beta1ListRecurringRunsResponse, "recurring_runs", found)


def _change(status: str) -> Callable[[PipelinesServer, Call], Any]:
    def change(server: PipelinesServer, call: Call) -> Any:
        (found,) = (each for each in server.recurring_runs if each.recurring_run_id == call.id)
        found.status = status
        return {}

    return change


def _delete(server: PipelinesServer, call: Call) -> Any:
    (found,) = (each for each in server.recurring_runs if each.recurring_run_id == call.id)
    server.recurring_runs.remove(found)
    return {}


_ROUTES: Sequence[tuple[str, str, Callable[[PipelinesServer, Call], Any]]] = (
    ("GET", "healthz", _healthz),
    ("GET", "experiments", _list_experiments),
    ("POST", "experiments", _create_experiment),
    ("GET", "pipelines", _list_pipelines),
    ("POST", "pipelines/upload", _upload_pipeline),
    ("POST", "pipelines/upload_version", _upload_version),
    ("GET", "pipelines/([^/:]+)/versions", _list_versions),
    ("POST", "runs", _create_run),
    ("GET", "runs/([^/:]+)", _get_run),
    ("POST", "recurringruns", _create_recurring_run),
    ("GET", "recurringruns", _list_recurring_runs),
    ("POST", "recurringruns/([^/:]+):enable", _change("ENABLED")),
    ("POST", "recurringruns/([^/:]+):disable", _change("DISABLED")),
    ("DELETE", "recurringruns/([^/:]+)", _delete),
)


@contextlib.contextmanager
def serving(server: PipelinesServer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Has it answer calls.

    Yields:
        Its address.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def _handle(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind = HTTPStatus.OK, "application/json"
            try:
                if server.login_page:
                    text, kind = LOGIN_PAGE, "text/html"
                else:
                    asked = dict(urllib.parse.parse_qsl(query))
                    answer = server.answer(self.command, path, asked, body, self.headers)
                    text = json.dumps(api.ApiClient().sanitize_for_serialization(answer))
            except RefusalError as refusal:
                status = refusal.status
                text = json.dumps({"error": str(refusal), "code": 0, "message": str(refusal)})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815 (the names are http.server's)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        if tls:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()
