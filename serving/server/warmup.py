"""Warm-up: the server answers requests that come with a model before it serves the model.

The first request of each kind and batch size is slow, since TensorFlow then prunes and optimises the graph. After TF
Serving's servables/tensorflow/saved_model_warmup{,_util}.cc: `assets.extra` in the SavedModel's folder holds a TFRecord
file of PredictionLog messages. If one of the requests fails, so does loading the model.
"""

import os
from collections.abc import Iterator

from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow.python.framework import errors
from tensorflow.python.lib.io import file_io, tf_record
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import monitoring
from serving.server.classify import classify
from serving.server.multi_inference import multi_inference
from serving.server.predict import predict
from serving.server.regress import regress
from serving.server.servable import Servable
from serving.server.status import StatusError, invalid_argument

REQUESTS_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000


def replay(servable: Servable, path: str, iterations: int = 1) -> int:
    """Answers all warm-up requests of a model.

    Args:
        servable: the model.
        path: the folder of the SavedModel.
        iterations: the number of times that each request is answered; 0 skips the warm-up.

    Returns:
        The number of requests; 0 if there is no such file.

    Raises:
        StatusError: a request fails, or the file is not a TFRecord file of at most 1000 PredictionLogs.
    """
    file = os.path.join(path, REQUESTS_FILE)
    if not iterations or not file_io.file_exists(file):
        return 0
    watch = monitoring.Stopwatch()
    count = 0
    for count, record in enumerate(_records(file), start=1):
        if count > MAX_RECORDS:
            raise invalid_argument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}")
        try:
            for _ in range(iterations):
                _answer(servable, record)
        except StatusError as error:
            raise StatusError(error.code, f"warm-up record {count} of {file}: {error.message}") from error
    monitoring.model_warmup_latency.add(watch.microseconds(), path, StatusCode.OK.name)
    monitoring.model_warmup_records_read.add(count, path, StatusCode.OK.name)
    return count


def _records(file: str) -> Iterator[bytes]:
    reader, offset = tf_record.tf_record_random_reader(file), 0
    while True:
        try:
            record, offset = reader.read(offset)
        except IndexError:
            return
        except errors.DataLossError as error:
            raise StatusError(
                StatusCode.DATA_LOSS,
                f"{error.message} in {file}. Please verify your warmup data is in TFRecord format.",
            ) from error
        yield record


def _answer(servable: Servable, record: bytes) -> None:
    log = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        raise invalid_argument("expected a PredictionLog message, received something else") from error
    match log.WhichOneof("log_type"):
        case "predict_log":
            predict(servable, log.predict_log.request)
        case "classify_log":
            classify(servable, log.classify_log.request)
        case "regress_log":
            regress(servable, log.regress_log.request)
        case "multi_inference_log":
            multi_inference(servable, log.multi_inference_log.request)
        case None:
            pass
        case other:
            raise StatusError(StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {other}")
