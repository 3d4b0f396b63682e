"""Warm-up requests, which a server replays before it sends a version any traffic.

The first request of each kind and size is slow, since TensorFlow then allocates, optimises and compiles. TF Serving
replays the requests in a SavedModel's `assets.extra/tf_serving_warmup_requests`. If one fails, loading fails.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import cycle, islice

import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    input_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from schema.feature_spec import WEIGHT, FeatureSpec
from schema.signatures import RANK, RANK_IDS, RECOMMEND
from trainer.requests import Array, context_inputs, predict_request, rank_ids_inputs, rank_inputs, recommend_inputs

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")

ROWS = (1, 10, 100)
"""The numbers of rows per request; each signature has a request of each size."""


def write(model_path: str, spec: FeatureSpec, signatures: Collection[str], patterns: Sequence[str]) -> None:
    """Adds warm-up requests to a SavedModel that `trainer.export` wrote.

    Args:
        model_path: the SavedModel's folder.
        spec: the resolved feature spec.
        signatures: the names of the model's signatures.
        patterns: patterns of gzipped TFRecord files with at least one raw example; requests have the first rows.
    """
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").take(max(ROWS)).as_numpy_iterator()
    examples = [_as_asked(record, spec) for record in records]
    path = os.path.join(model_path, FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.TFRecordWriter(path) as writer:
        for rows in ROWS:
            for request in _requests(spec, signatures, list(islice(cycle(examples), rows))):
                writer.write(request.SerializeToString())


def _as_asked(record: bytes, spec: FeatureSpec) -> tf.train.Example:
    """A raw example without labels and weight, which requests do not have."""
    example = tf.train.Example.FromString(record)
    for name in (*spec.labels, WEIGHT):
        example.features.feature.pop(name, None)
    return example


def _requests(
    spec: FeatureSpec, signatures: Collection[str], examples: Sequence[tf.train.Example]
) -> Iterator[prediction_log_pb2.PredictionLog]:
    """A request with the examples for each signature."""
    serialized = [example.SerializeToString() for example in examples]
    yield _predict("serving_default", {"examples": tf.constant(serialized)})
    yield _predict(RANK, rank_inputs(spec, serialized))
    if RANK_IDS in signatures:
        yield _predict(RANK_IDS, rank_ids_inputs(spec, serialized))
    if RECOMMEND in signatures:
        yield _predict(RECOMMEND, recommend_inputs(spec, context_inputs(spec, serialized[0]), len(serialized)))
    examples_input = input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
    if "classify" in signatures:
        classify = classification_pb2.ClassificationRequest(input=examples_input)
        classify.model_spec.signature_name = "classify"
        yield prediction_log_pb2.PredictionLog(classify_log=prediction_log_pb2.ClassifyLog(request=classify))
    if "regress" in signatures:
        regress = regression_pb2.RegressionRequest(input=examples_input)
        regress.model_spec.signature_name = "regress"
        yield prediction_log_pb2.PredictionLog(regress_log=prediction_log_pb2.RegressLog(request=regress))


def _predict(signature: str, inputs: Mapping[str, tf.Tensor | Array]) -> prediction_log_pb2.PredictionLog:
    request = predict_request(signature, inputs)
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
