"""The REST side: state and metadata."""

import http.client
import json

import pytest

from serving.server import Server, ServerOptions


@pytest.fixture(scope="module")
def connection(toy_models):
    options = ServerOptions(model_name="toy", model_base_path=str(toy_models[1].parent), rest_api_port=0)
    with Server(options) as server:
        server.wait_until_available(60)
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=60)
        yield connection
        connection.close()


def ask(connection, path, method="GET", body=None):
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.load(response)


AVAILABLE = {
    "model_version_status": [
        {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}


@pytest.mark.parametrize("path", ["/v1/models/toy", "/v1/models/toy/versions/3", "/V1/Models/t%6Fy?x=1"])
def test_status(connection, path):
    assert ask(connection, path) == (200, AVAILABLE)


@pytest.mark.parametrize("path", ["/v1/models/toy/metadata", "/v1/models/toy/versions/3/metadata"])
def test_metadata(connection, path):
    status, body = ask(connection, path)

    assert status == 200
    assert body["model_spec"] == {"name": "toy", "version": "3", "signature_name": ""}
    assert body["metadata"]["signature_def"]["signature_def"]["rank"]["inputs"]["item"] == {
        "dtype": "DT_INT64",
        "name": "rank_item:0",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models/toys", 404, "Could not find any versions of model toys"),
        ("GET", "/v1/models/toy/versions/1", 404, "Could not find version 1 of model toy"),
        ("GET", "/v1/models/toys/metadata", 404, "Servable not found for request: Latest(toys)"),
        ("GET", "/v1/models/toy/labels/best/metadata", 400, "Unrecognized servable version label: best"),
        (
            "GET",
            f"/v1/models/toy/versions/{2**63}",
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/", 400, "Malformed request: GET /"),
        ("GET", "/v1/models/toy:predict", 400, "Malformed request: GET /v1/models/toy:predict"),
        ("POST", "/v1/models/toy", 400, "Malformed request: POST /v1/models/toy"),
        (
            "POST",
            "/v1/models/toy:predict",
            501,
            ":predict is answered over gRPC only, not over REST yet",
        ),
    ],
)
def test_errors(connection, method, path, status, message):
    assert ask(connection, path, method) == (status, {"error": message})


def test_a_connection_is_used_again_also_after_a_body_that_nobody_wants(connection):
    assert ask(connection, "/v1/models/toy:predict", "POST", b"x" * 100_000)[0] == 501
    used = connection.sock
    assert ask(connection, "/v1/models/toy") == (200, AVAILABLE)
    assert connection.sock is used


def test_a_body_without_length_ends_the_connection(connection):
    connection.putrequest("POST", "/v1/models/toy:predict")
    connection.endheaders()
    response = connection.getresponse()

    assert (response.status, response.headers["Connection"]) == (501, "close")
    response.read()
    assert ask(connection, "/v1/models/toy") == (200, AVAILABLE)
