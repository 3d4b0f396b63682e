"""Batches as TFX's libraries take them: values in lists, texts as bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema.reader import is_missing


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose columns are lists of values, of texts as bytes; the list of a missing value is null."""
    return pa.RecordBatch.from_arrays([_as_list(column) for column in batch.columns], names=batch.schema.names)


def _as_list(column: pa.Array) -> pa.Array:
    if pa.types.is_list(column.type):
        lengths, values = pc.fill_null(pc.list_value_length(column), 0), column.flatten()
    else:
        lengths, values = column.is_valid(), column.drop_null()
    offsets = np.append(0, np.cumsum(np.asarray(lengths)))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values, mask=is_missing(column))
    return lists.cast(pa.large_list(pa.large_binary() if pa.types.is_string(values.type) else values.type))
