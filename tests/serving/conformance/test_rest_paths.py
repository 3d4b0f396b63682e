"""States and metadata over REST, and invalid paths: TF Serving's http_rest_api_{handler,util}.cc, http_server.cc and
util/net_http.
"""

import gzip
import http.client
import json
from urllib.parse import quote

import pytest

from tests.serving.asking import TIMEOUT_S

RESERVED = "!#$%&'()*+,/:;=?@[]"


def state(version):
    return {"version": str(version), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize(
    ("path", "versions"),
    [
        ("/v1/models/linear", [2, 1]),
        ("/v1/models/linear/versions/1", [1]),
        ("/v1/models/latest", [3, 2]),
        ("/v1/models/all", [3, 1]),
        ("/v1/models/padded", [7]),
        ("/V1/MODELS/linear", [2, 1]),
        ("/v1/models/l%69near", [2, 1]),
        # A label chooses nothing here.
        ("/v1/models/linear/labels/stable", [2, 1]),
        ("/v1/models/linear/labels/best", [2, 1]),
        # So spelled, it is no metadata.
        ("/v1/models/linear/METADATA", [2, 1]),
    ],
)
def test_states(rest, path, versions):
    answer = rest.get(path)

    assert (answer.status, answer.json) == (200, {"model_version_status": [state(version) for version in versions]})
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "version"),
    [("linear", 2), ("linear/versions/1", 1), ("linear/labels/stable", 1), ("padded", 7)],
)
def test_metadata(rest, path, version):
    def tensor(name):
        shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
        return {"dtype": "DT_FLOAT", "name": name, "tensor_shape": shape}

    answer = rest.get(f"/v1/models/{path}/metadata")
    content = answer.json
    signature = content["metadata"]["signature_def"]["signature_def"]["serving_default"]

    assert answer.status == 200
    assert content.keys() == {"model_spec", "metadata"}
    assert content["model_spec"] == {
        "name": path.split("/")[0],
        "signature_name": "",
        "version": str(version),
    }
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"] == {"x": tensor("x:0")}
    assert list(signature["outputs"]) == ["y"]


def test_metadata_says_methods_and_defaults(rest):
    signatures = rest.get("/v1/models/types/metadata").json["metadata"]["signature_def"]["signature_def"]
    examples = rest.get("/v1/models/examples/metadata").json["metadata"]["signature_def"]["signature_def"]

    assert {name: value["float_val"] for name, value in signatures["defaults"]["defaults"].items()} == {
        "scale": [3.0],
        "shift": [0.5],
    }
    assert signatures["constant"]["inputs"] == signatures["constant"]["defaults"] == {}
    assert signatures["several"]["inputs"]["strings"]["dtype"] == "DT_STRING"
    assert signatures["several"]["inputs"]["strings"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    assert examples["classify"]["method_name"] == "tensorflow/serving/classify"
    assert examples["serving_default"]["method_name"] == "tensorflow/serving/regress"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/metadata", 404, "Could not find any versions of model metadata"),
        ("GET", "/v1/models/nobody", 404, "Could not find any versions of model nobody"),
        ("GET", "/v1/models/linear/versions/3", 404, "Could not find version 3 of model linear"),
        ("GET", "/v1/models/linear?x=1", 404, "Could not find any versions of model linear?x=1"),
        ("GET", "/v1/models/linear#x", 404, "Could not find any versions of model linear#x"),
        ("GET", "/v1/models/%D0%BC", 404, "Could not find any versions of model м"),
        ("GET", f"/v1/models/{quote(RESERVED, '')}", 404, f"Could not find any versions of model {RESERVED}"),
        ("GET", "/v1/models/a+b", 404, "Could not find any versions of model a+b"),
        (
            "GET",
            f"/v1/models/linear/labels/{quote(RESERVED, '')}/metadata",
            400,
            f"Unrecognized servable version label: {RESERVED}",
        ),
        ("GET", "/v1/models/nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
        ("GET", "/v1/models/linear/versions/3/metadata", 404, "Servable not found for request: Specific(linear, 3)"),
        ("GET", "/v1/models/linear/labels/best/metadata", 400, "Unrecognized servable version label: best"),
        *(
            (method, path, 400, f"Malformed request: {method} {path}")
            for method, path in [
                ("GET", "/v1/foo"),
                ("GET", "/v1/"),
                ("GET", "/v1/models/"),
                ("GET", "/v1/models/debug/model_name"),
                ("GET", "/v1/models/linear:predict"),
                ("GET", "/v1/models/linear/version/1"),
                ("GET", "/v1/models/linear/versions/x"),
                ("GET", "/v1/models/linear/versions/-1"),
                ("GET", "/v1/models/linear/versions/1/labels/stable"),
                ("GET", "/v1/models/linear/"),
                ("GET", "/v1/models/linear/metadata/"),
                ("POST", "/v1/foo"),
                ("POST", "/v1/models"),
                ("POST", "/v1/models/linear"),
                ("POST", "/v1/models/linear/metadata"),
                ("POST", "/v1/models/linear:PREDICT"),
                ("POST", "/v1/models/linear:predict/"),
                ("POST", "/v1/models/linear:predict?x=1"),
                ("POST", "/v1/models/linear:multiinference"),
                ("POST", "/v1/models/linear/version/1:regress"),
                ("POST", "/v1/models/linear/versions/x:regress"),
                ("POST", "/v1/models/linear/label/stable:regress"),
                ("POST", "/v1/models/linear/versions/1/labels/stable:regress"),
                ("PUT", "/v1/models/linear"),
                ("PUT", "/v1/models/linear:predict"),
                ("DELETE", "/v1/models/linear"),
                ("PATCH", "/v1/models/linear:predict"),
            ]
        ),
    ],
)
def test_paths_that_are_wrong(rest, method, path, status, message):
    answer = rest.ask(method, path, "{}" if method == "POST" else None)

    assert (answer.status, answer.error) == (status, message)
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("version", [2**63, 2**64 - 1, 10**30])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/metadata"), ("POST", ":predict")])
def test_a_version_beyond_64_bits_is_refused_without_a_word(rest, version, method, path):
    answer = rest.ask(method, f"/v1/models/linear/versions/{version}{path}", "{}" if method == "POST" else None)

    assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/linear", "/index.html", "/monitoring/prometheus"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_found(rest, method, path):
    assert rest.ask(method, path).status == 404


def test_head(rest):
    answer = rest.ask("HEAD", "/v1/models/linear")

    assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "http://a.example"}, 200), ({"Origin": "https://a.example"}, 200), ({"Origin": "a"}, 400), ({}, 400)],
)
def test_a_page_asks_what_is_allowed(rest, headers, status):
    answer = rest.ask("OPTIONS", "/v1/models/linear:predict", **headers)

    assert (answer.status, answer.body) == (status, b"")
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_compressed_body(rest):
    body = gzip.compress(json.dumps({"instances": [2]}).encode())
    answer = rest.ask("POST", "/v1/models/linear:predict", body, **{"Content-Encoding": "gzip"})

    assert (answer.status, answer.json) == (200, {"predictions": [3]})


def test_a_body_that_is_badly_compressed_counts_as_empty(rest):
    answer = rest.ask("POST", "/v1/models/linear:predict", b'{"instances": [2]}', **{"Content-Encoding": "gzip"})

    assert (answer.status, answer.error) == (400, "JSON Parse error: The document is empty")


def test_a_body_in_chunks(rest):
    answer = rest.ask("POST", "/v1/models/linear:predict", iter([b'{"inst', b'ances": [2', b"]}"]))

    assert (answer.status, answer.json) == (200, {"predictions": [3]})


def test_several_requests_on_one_connection(target, rest):
    connection = http.client.HTTPConnection(target.rest, timeout=TIMEOUT_S)
    for number in range(3):
        connection.request("POST", "/v1/models/linear:predict", json.dumps({"instances": [number]}))
        assert json.load(connection.getresponse()) == {"predictions": [number / 2 + 2]}
        connection.request("GET", "/v1/models/nobody")
        assert connection.getresponse().read()
    connection.close()


def test_the_type_of_a_body_does_not_matter(rest):
    answer = rest.ask("POST", "/v1/models/linear:predict", '{"instances": [2]}', **{"Content-Type": "text/plain"})

    assert (answer.status, answer.json) == (200, {"predictions": [3]})
