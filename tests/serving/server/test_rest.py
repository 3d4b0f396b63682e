"""REST: inference, state and metadata, and the errors of wrong requests."""

import gzip
import http.client
import json
import socket

import pytest

from serving.server import Server, ServerOptions


@pytest.fixture(scope="module")
def port(toy_models):
    options = ServerOptions(model_name="toy", model_base_path=str(toy_models[1].parent), rest_api_port=0)
    with Server(options) as server:
        server.wait_until_available(60)
        yield server.rest_api_port


@pytest.fixture(scope="module")
def connection(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    yield connection
    connection.close()


def ask(connection, path, method="GET", body=None, headers=()):
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.load(response)


def post(connection, path, body):
    return ask(connection, path, "POST", json.dumps(body))


def exchange(port, *messages):
    """Sends bytes, and reads all that comes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        for message in messages:
            client.sendall(message)
        return b"".join(iter(lambda: client.recv(65536), b""))


AVAILABLE = {
    "model_version_status": [
        {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
}

EXAMPLES = [{"user": "ann", "age": 30.0, "item": 0, "genres": ["Drama"]}, {"user": ["ann"], "age": 40.0}]
INSTANCES = [
    {"user": "ann", "age": 30, "item": 0, "genres": ["Drama"]},
    {"user": {"b64": "YW5u"}, "age": 30.5, "item": 10, "genres": [""]},
]
ROWS = {"signature_name": "rank", "instances": INSTANCES}
COLUMNS = {
    "signature_name": "rank",
    "inputs": {"user": ["ann"], "age": [30], "item": [0, 10], "genres": [["Drama"]]},
}


# Version 3 has scale 0.3; ann (3) + 30 + item + one genre.


@pytest.mark.parametrize("path", ["/v1/models/toy:predict", "/v1/models/t%6Fy/versions/3:predict"])
def test_predict_in_rows(connection, path):
    status, body = post(connection, path, ROWS)

    assert status == 200
    assert body == {
        "predictions": [
            {"logit": pytest.approx(10.2), "probability": pytest.approx(0.9999628)},
            {"logit": pytest.approx(13.05), "probability": pytest.approx(0.9999978)},
        ]
    }


def test_predict_in_columns(connection):
    status, body = post(connection, "/v1/models/toy:predict", COLUMNS)

    assert status == 200
    assert body["outputs"]["logit"] == pytest.approx([10.2, 13.2])


def test_predict_types(connection):
    inputs = {"strings": ["é", ""], "floats": [[1, float("inf")]], "ints": [-(2**63)], "flag": True, "halves": []}
    request = {"signature_name": "echo", "inputs": inputs}

    assert post(connection, "/v1/models/toy:predict", request) == (200, {"outputs": inputs})


def test_classify(connection):
    request = {"signature_name": "classify", "examples": EXAMPLES}

    assert post(connection, "/v1/models/toy:classify", request) == (
        200,
        {
            "results": [
                [["0", pytest.approx(3.7e-5, rel=0.01)], ["1", pytest.approx(0.9999628)]],
                [["0", pytest.approx(2.5e-6, rel=0.02)], ["1", pytest.approx(0.9999975)]],
            ]
        },
    )


def test_regress_with_context(connection):
    request = {
        "signature_name": "regress",
        "context": {"user": "ann", "age": 30.0},
        "examples": [{"item": 1}, {"item": 2, "age": 0.0}],
    }

    assert post(connection, "/v1/models/toy/versions/3:regress", request) == (
        200,
        {"results": [pytest.approx(10.2), pytest.approx(1.5)]},
    )


@pytest.mark.parametrize("path", ["/v1/models/toy", "/v1/models/toy/versions/3", "/V1/Models/t%6Fy/METADATA"])
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
        ("GET", "/v1/models/toy?x=1", 404, "Could not find any versions of model toy?x=1"),
        ("GET", "/v1/models/toy/versions/1", 404, "Could not find version 1 of model toy"),
        ("GET", "/v1/models/toys/metadata", 404, "Servable not found for request: Latest(toys)"),
        ("GET", "/v1/models/toy/labels/best/metadata", 400, "Unrecognized servable version label: best"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/foo", 400, "Malformed request: POST /v1/foo"),
        ("GET", "/v1/models/debug/model_name", 400, "Malformed request: GET /v1/models/debug/model_name"),
        ("GET", "/v1/models/toy:predict", 400, "Malformed request: GET /v1/models/toy:predict"),
        ("POST", "/v1/models", 400, "Malformed request: POST /v1/models"),
        ("POST", "/v1/models/toy", 400, "Malformed request: POST /v1/models/toy"),
        ("POST", "/v1/models/toy/metadata", 400, "Malformed request: POST /v1/models/toy/metadata"),
        ("POST", "/v1/models/toy:PREDICT", 400, "Malformed request: POST /v1/models/toy:PREDICT"),
        ("POST", "/v1/models/toy:predict?x=1", 400, "Malformed request: POST /v1/models/toy:predict?x=1"),
        ("POST", "/v1/models/toy/version/3:regress", 400, "Malformed request: POST /v1/models/toy/version/3:regress"),
        ("POST", "/v1/models/toy/versions/x:regress", 400, "Malformed request: POST /v1/models/toy/versions/x:regress"),
        ("PUT", "/v1/models/toy", 400, "Malformed request: PUT /v1/models/toy"),
        ("DELETE", "/v1/models/toy", 400, "Malformed request: DELETE /v1/models/toy"),
        ("PATCH", "/v1/models/toy:predict", 400, "Malformed request: PATCH /v1/models/toy:predict"),
    ],
)
def test_paths_that_are_wrong(connection, method, path, status, message):
    assert ask(connection, path, method) == (status, {"error": message})


@pytest.mark.parametrize("version", [2**63, "9" * 5000])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ":regress")])
def test_a_version_beyond_64_bits_is_refused_without_a_word(connection, method, path, version):
    connection.request(method, f"/v1/models/toy/versions/{version}{path}")
    response = connection.getresponse()

    assert (response.status, response.read()) == (400, b"")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (":predict", b"", 400, "JSON Parse error: The document is empty"),
        (":predict", b"instances = [1]", 400, "JSON Parse error: Invalid value. at offset: 0"),
        (":regress", b"{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("s:predict", b'{"instances": [1]}', 404, "Servable not found for request: Latest(toys)"),
        ("/versions/9:predict", b'{"instances": [1]}', 404, "Servable not found for request: Specific(toy, 9)"),
        ("s:classify", b'{"examples": [{}]}', 404, "Servable not found for request: Latest(toys)"),
        ("/labels/best:predict", b'{"instances": [1]}', 400, "Unrecognized servable version label: best"),
        (
            ":predict",
            b'{"signature_name": "rnk", "instances": [1]}',
            400,
            'Serving signature name: "rnk" not found in signature def',
        ),
        (":predict", b"{}", 400, "Missing 'inputs' or 'instances' key"),
        (
            ":predict",
            b'{"signature_name": "rank", "instances": [1]}',
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            ":predict",
            b'{"instances": [0.5]}',
            400,
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 0.5 Type: Number "
            "is not of expected type: string",
        ),
        (
            ":predict",
            b'{"signature_name": "echo", "inputs": {"flag": true, "floats": [[1]], "halves": [1], "ints": [1], '
            b'"strings": [""]}}',
            501,
            "Conversion of JSON Value: 1 to type: bfloat16",
        ),
        (
            ":classify",
            b'{"signature_name": "rnk", "examples": [{}]}',
            400,
            "No signature was found with the name: rnk",
        ),
        (":regress", b'{"signature_name": "rank", "examples": [{}]}', 400, "Expected one input Tensor."),
    ],
)
def test_bodies_that_are_wrong(connection, path, body, status, message):
    assert ask(connection, "/v1/models/toy" + path, "POST", body) == (status, {"error": message})


@pytest.mark.parametrize("path", ["/", "/v2/models/toy", "/v1", "/index.html", "/monitoring/prometheus/metrics"])
def test_other_paths_are_not_found(port, path):
    reply = exchange(port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert reply.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"\r\nContent-Type: text/html\r\n" in reply
    assert reply.endswith(
        b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
    )


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GET /v1/models/a%zz HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/models/\xff HTTP/1.1\r\n\r\n", 400),
        (b"BREW /v1/models/toy HTTP/1.1\r\n\r\n", 501),
        (b"TRACE /v1/models/toy HTTP/1.1\r\n\r\n", 501),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v1/models/toy HTTP/x\r\n\r\n", 400),
        (b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/models/toy:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ],
)
def test_what_is_no_request_ends_the_connection(port, message, status):
    reply = exchange(port, message)

    assert reply.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in reply


@pytest.mark.parametrize(
    "message",
    [
        b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"GET /v1/models/toy HTT",
    ],
)
def test_a_client_that_leaves_inside_a_request_is_forgotten(port, message):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        assert not client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_silent_client_does_not_hold_its_thread(port, monkeypatch):
    monkeypatch.setattr("serving.server.http_server._Handler.timeout", 0.05)
    assert exchange(port, b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 10\r\n\r\n{") == b""


def test_a_connection_is_used_again(connection):
    assert ask(connection, "/v1/models/toy:predict", "POST", b"x" * 100_000)[0] == 400
    used = connection.sock
    assert used is not None
    assert ask(connection, "/v1/models/toy") == (200, AVAILABLE)
    assert connection.sock is used


def test_a_request_without_length_has_no_body(connection):
    connection.putrequest("POST", "/v1/models/toy:predict")
    connection.endheaders()
    response = connection.getresponse()

    assert (response.status, json.load(response)) == (400, {"error": "JSON Parse error: The document is empty"})


def test_a_body_in_chunks(connection):
    body = json.dumps(COLUMNS).encode()
    chunks = iter([body[:10], body[10:11], body[11:]])

    status, answer = ask(connection, "/v1/models/toy:predict", "POST", chunks)

    assert (status, list(answer)) == (200, ["outputs"])


def test_a_compressed_body(connection):
    body = gzip.compress(json.dumps(ROWS).encode())

    status, answer = ask(connection, "/v1/models/toy:predict", "POST", body, {"Content-Encoding": "gzip"})

    assert (status, list(answer)) == (200, ["predictions"])


@pytest.mark.parametrize(
    "body", [b"{}", gzip.compress(b"{}", mtime=0)[:-4], gzip.compress(b" " * (101 << 20), mtime=0)]
)
def test_a_body_that_is_badly_compressed_or_too_long_counts_as_empty(connection, body):
    assert ask(connection, "/v1/models/toy:predict", "POST", body, {"Content-Encoding": "gzip"}) == (
        400,
        {"error": "JSON Parse error: The document is empty"},
    )


def test_a_large_body_and_a_large_answer(connection):
    inputs = {**COLUMNS["inputs"], "item": list(range(500_000))}

    status, body = post(connection, "/v1/models/toy:predict", {"signature_name": "rank", "inputs": inputs})

    assert status == 200
    assert len(body["outputs"]["logit"]) == 500_000


def test_a_client_may_ask_whether_to_send_its_body(port):
    head = b"POST /v1/models/toy:predict HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_head_has_no_body(port):
    reply = exchange(port, b"HEAD /v1/models/toy HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert reply.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("origin", "status"), [({"Origin": "https://a.example"}, 200), ({}, 400)])
def test_a_browser_may_ask_what_is_allowed(connection, origin, status):
    connection.request("OPTIONS", "/v1/models/toy:predict", headers=origin)
    response = connection.getresponse()

    assert (response.status, response.read()) == (status, b"")


def test_pages_of_any_web_site_may_ask_if_so_configured(toy_models):
    options = ServerOptions("toy", str(toy_models[1].parent), rest_api_port=0, rest_api_enable_cors_support=True)
    with Server(options) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=60)
        for method, path in (("OPTIONS", "/v1/models/toy:predict"), ("GET", "/v1/models/toy/metadata/x")):
            connection.request(method, path, headers={"Origin": "https://a.example"})
            response = connection.getresponse()
            response.read()
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Access-Control-Allow-Methods"] == "POST, GET"
        connection.close()


def test_the_server_can_stop_while_connections_are_open(toy_models):
    options = ServerOptions(model_name="toy", model_base_path=str(toy_models[1].parent), rest_api_port=0)
    with Server(options) as server, socket.create_connection(("127.0.0.1", server.rest_api_port), timeout=60) as client:
        client.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
        client.recv(65536)
        server.stop()
        assert client.recv(65536) == b""
