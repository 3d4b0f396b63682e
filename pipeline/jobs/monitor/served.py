"""The requests and answers of a server, from its request log."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from schema.lists import as_lists
from schema.reader import arrow_schema
from schema.signatures import RANK
from serving.tensor_proto import Array, to_array
from trainer.raw_columns import raw_columns

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Served:
    """Requests for rankings, in the order of the log, and their answers.

    Attributes:
        values: column -> its values as they were sent, in lists as in examples: one for each request if the column
        describes the group, else one for each candidate.
        sent_at: column -> the time of each of its values, in seconds since 1970.
        pairs: the ranking's group and item of each candidate; empty for a dataset without a ranking.
        scores: the score of each candidate.
        times: the time of each candidate's request, in seconds since 1970.
        requests: the times of the requests, in seconds since 1970.
        versions: version of the model -> the number of requests that it has answered.
    """

    values: Mapping[str, pa.Array]
    sent_at: Mapping[str, Ints]
    pairs: tuple[pa.Array, pa.Array] | tuple[()]
    scores: Floats
    times: Ints
    requests: Ints
    versions: Mapping[int, int]


def read(pattern: str, spec: FeatureSpec, output: str) -> Served:
    """Reads the files of a request log.

    Args:
        pattern: the pattern of the files. An incomplete last record, as in a file that is being written, is skipped.
        spec: the resolved spec of the model's dataset.
        output: the output of the `rank` signature that is the score.

    Raises:
        DataError: no file matches, a file is not a request log, or the files contain no request for a ranking.
    """
    columns = raw_columns(spec)
    parts: dict[str, list[Array]] = defaultdict(list)
    sent_at: dict[str, list[Ints]] = defaultdict(list)
    pairs: tuple[list[Array], list[Array]] = ([], [])
    scores: list[Array] = []
    times: list[Ints] = []
    requests: list[int] = []
    versions: dict[int, int] = defaultdict(int)
    for log in _logs(pattern):
        asked = log.predict_log.request
        if asked.model_spec.signature_name != RANK or output not in log.predict_log.response.outputs:
            continue
        time = log.log_metadata.timestamp_secs
        answer = to_array(log.predict_log.response.outputs[output]).astype(np.float64)
        sent = {name: _texts(to_array(proto)) for name, proto in asked.inputs.items() if name in columns}
        for name, array in sent.items():
            parts[name].append(array)
            sent_at[name].append(np.full(len(array), time))
        if spec.ranking:
            for part, name in zip(pairs, (spec.ranking.group, spec.ranking.item), strict=True):
                part.append(np.broadcast_to(sent[name], len(answer)))
        scores.append(answer)
        times.append(np.full(len(answer), time))
        requests.append(time)
        versions[log.log_metadata.model_spec.version.value] += 1
    if not requests:
        raise DataError(f"{pattern}: expected requests for rankings, found none; `rankline serve --log-requests` logs")
    schema = arrow_schema(spec)
    values = {name: _column(arrays, columns[name].missing, schema.field(name)) for name, arrays in parts.items()}
    return Served(
        values=values,
        sent_at={name: np.concatenate(each) for name, each in sent_at.items()},
        pairs=(pa.array(np.concatenate(pairs[0])), pa.array(np.concatenate(pairs[1]))) if spec.ranking else (),
        scores=np.concatenate(scores),
        times=np.concatenate(times),
        requests=np.array(requests),
        versions=dict(versions),
    )


def _logs(pattern: str) -> Iterator[prediction_log_pb2.PredictionLog]:
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise DataError(f"{pattern}: expected files of a request log, found none; `rankline serve --log-requests` logs")
    for file in files:
        records = tf.data.TFRecordDataset(file).as_numpy_iterator()
        try:
            for number, record in enumerate(records, start=1):
                try:
                    yield prediction_log_pb2.PredictionLog.FromString(record)
                except DecodeError as error:
                    raise DataError(f"{file}: record {number}: expected a PredictionLog, received {error}") from None
        except tf.errors.DataLossError as error:
            if "truncated record" not in error.message:
                raise DataError(f"{file}: expected TFRecords, received {error.message}") from None


def _column(arrays: Sequence[Array], missing: Any, field: pa.Field) -> pa.Array:
    """A column as examples have it, from the sent values: plain, or padded with `missing`."""
    present = [~np.isnan(array) if array.dtype.kind == "f" else array != missing for array in arrays]
    if pa.types.is_list(field.type):
        lengths = np.concatenate([mask.sum(axis=1) for mask in present])
        flat = np.concatenate([array[mask] for array, mask in zip(arrays, present, strict=True)])
        offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
        column = pa.ListArray.from_arrays(offsets, pa.array(flat, field.type.value_type))
    else:
        column = pa.array(np.concatenate(arrays), field.type, mask=~np.concatenate(present))
    return as_lists(pa.RecordBatch.from_arrays([column], [field.name])).column(0)


def _texts(array: Array) -> Array:
    """Decodes bytes; returns other arrays unchanged."""
    if array.dtype != object:
        return array
    return np.array([value.decode() for value in array.flat], object).reshape(array.shape)
