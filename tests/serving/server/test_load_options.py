"""A server's flags for loading models."""

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import prediction_log_pb2, prediction_service_pb2_grpc

from serving.server import ConfigFileError, Server, ServerOptions, StatusError, saved_model
from serving.server.load_options import load_options
from serving.server.servable import ServableId

TIMEOUT_S = 60


def written(path, text) -> str:
    path.write_text(text)
    return str(path)


def test_without_flags_nothing_is_batched_and_warm_up_is_replayed_once():
    options = load_options(ServerOptions())

    assert options.batching is None
    assert (options.tags, options.warmup_iterations) == (("serve",), 1)


def test_batching_parameters(tmp_path):
    file = written(tmp_path / "batching.pbtxt", "max_batch_size { value: 128 }\nallowed_batch_sizes: 128\n")

    options = load_options(ServerOptions(enable_batching=True, batching_parameters_file=file))

    assert options.batching.max_batch_size.value == 128
    assert list(options.batching.allowed_batch_sizes) == [128]
    assert load_options(ServerOptions(enable_batching=True)).batching is not None


@pytest.mark.parametrize(
    ("flags", "intra", "inter"),
    [
        ({}, 0, 0),
        ({"tensorflow_session_parallelism": 3}, 3, 3),
        ({"tensorflow_intra_op_parallelism": 2, "tensorflow_inter_op_parallelism": 4}, 2, 4),
        ({"tensorflow_session_parallelism": 3, "tensorflow_inter_op_parallelism": 4}, 0, 4),
    ],
)
def test_threads(tmp_path, flags, intra, inter):
    """Flags go before the file, which says what they do not."""
    file = written(tmp_path / "session.pbtxt", "intra_op_parallelism_threads: 7 allow_soft_placement: true")

    session = load_options(ServerOptions(tensorflow_session_config_file=file, **flags)).session

    assert (session.intra_op_parallelism_threads, session.inter_op_parallelism_threads) == (intra, inter)
    assert session.allow_soft_placement


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"batching_parameters_file": "x"}, "--batching_parameters_file is set without setting --enable_batching"),
        (
            {
                "tensorflow_session_parallelism": 1,
                "tensorflow_intra_op_parallelism": 1,
                "tensorflow_inter_op_parallelism": 1,
            },
            "You cannot configure all.",
        ),
    ],
)
def test_flags_that_contradict_each_other(flags, message):
    with pytest.raises(StatusError, match=message):
        Server(ServerOptions(**flags))


def test_a_file_of_something_else(tmp_path):
    file = written(tmp_path / "batching.pbtxt", "max_batch: 3")

    with pytest.raises(ConfigFileError, match=r"expected BatchingParameters in text format, received .*max_batch"):
        Server(ServerOptions(enable_batching=True, batching_parameters_file=file))


def test_no_warm_up(push, rank_request):
    """The warm-up request names a signature that the model has not, and would fail the load."""
    wrong = rank_request([1])
    wrong.model_spec.signature_name = "rnk"
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=wrong))
    path = str(push(1, warmup=[log]))

    saved_model.load(ServableId("toy", 1), path, load_options(ServerOptions(enable_model_warmup=False))).close()
    with pytest.raises(StatusError):
        saved_model.load(ServableId("toy", 1), path, load_options(ServerOptions()))


def test_requests_wait_for_each_other(tmp_path, push, base_path, rank_request):
    """Twenty requests for a candidate each make one batch of twenty; it would be long in coming otherwise."""
    file = written(tmp_path / "batching.pbtxt", "max_batch_size { value: 20 } batch_timeout_micros { value: 60000000 }")
    push(1)
    options = ServerOptions("toy", str(base_path), enable_batching=True, batching_parameters_file=file)
    with Server(options) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        server.wait_until_available(TIMEOUT_S)
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        calls = [predict.future(rank_request([item]), timeout=TIMEOUT_S) for item in range(20)]
        logits = [call.result().outputs["logit"].float_val[0] for call in calls]

    # "ann" + 30 years + the item + one genre, times version 1's scale.
    np.testing.assert_allclose(logits, [0.1 * (34 + item) for item in range(20)], rtol=1e-6)
