"""MultiInference on the toy model: the answers of Classify and Regress in one."""

import pytest
from google.protobuf import text_format
from grpc import StatusCode
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from serving.server.classify import classify
from serving.server.multi_inference import multi_inference
from serving.server.regress import regress
from serving.server.status import StatusError

INPUT = """input { example_list {
    examples { features { feature { key: "item" value { int64_list { value: 10 } } } } }
    examples { features { feature { key: "item" value { int64_list { value: -5 } } } } } } }"""


def task(signature: str, method: str, model: str = "toy") -> str:
    return (
        f'tasks {{ model_spec {{ name: "{model}" signature_name: "{signature}" }} '
        f'method_name: "tensorflow/serving/{method}" }}'
    )


def request(*tasks: str, text: str = INPUT) -> inference_pb2.MultiInferenceRequest:
    return text_format.Parse(" ".join([*tasks, text]), inference_pb2.MultiInferenceRequest())


def test_results_come_in_the_order_of_the_tasks(toy):
    asked = request(task("regress", "regress"), task("classify", "classify"))
    regressed, classified = multi_inference(toy, asked).results

    alone = regress(toy, regression_pb2.RegressionRequest(model_spec=asked.tasks[0].model_spec, input=asked.input))
    assert (regressed.regression_result, regressed.model_spec) == (alone.result, alone.model_spec)
    alone = classify(
        toy, classification_pb2.ClassificationRequest(model_spec=asked.tasks[1].model_spec, input=asked.input)
    )
    assert (classified.classification_result, classified.model_spec) == (alone.result, alone.model_spec)


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (
            request(task("regress", "regress"), task("regress", "classify")),
            StatusCode.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: regress",
        ),
        (
            request(task("regress", "regress"), task("classify", "classify", "other")),
            StatusCode.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            request(task("regress", "regress", "")),
            StatusCode.INVALID_ARGUMENT,
            "Found ModelSpec with an empty model name.",
        ),
        (
            request(task("reg", "regress")),
            StatusCode.INVALID_ARGUMENT,
            "Requested signature not found in model graph: reg",
        ),
        (
            request(task("rank", "predict")),
            StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (request(task("regress", "classify")), StatusCode.INVALID_ARGUMENT, "Expected classification signature"),
        (request(task("regress", "regress"), text=""), StatusCode.INVALID_ARGUMENT, "Input is empty."),
    ],
)
def test_wrong_requests(toy, asked, code, message):
    with pytest.raises(StatusError) as error:
        multi_inference(toy, asked)

    assert error.value.code == code
    assert error.value.message.startswith(message)
