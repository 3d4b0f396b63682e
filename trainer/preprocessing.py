"""The feature spec as a TensorFlow graph, which turns raw columns into ids and scaled numbers.

TFX runs `preprocessing_fn` over the train split to find vocabularies, means and quantiles, and attaches the
resulting graph to the served model, so that requests are transformed like the training data. `trainer.input_columns`
defines the layout of the output.

A request for a ranking has one row for its context and a row for each candidate. So columns of different sides
(`schema.features.Side`) are never computed together, except in the lookup of ids, where each column has its own number
of rows. A cross of both sides repeats the row of the side that has only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from schema.feature_spec import (
    MISSING,
    WEIGHT,
    Categorical,
    Cross,
    FeatureSpec,
    Multivalent,
    Numeric,
)
from schema.features import QUANTILE_ERROR
from trainer import vocabulary
from trainer.vocabulary import SEPARATOR, Tokens

Tensors = dict[str, tf.Tensor | tf.SparseTensor]


def preprocessing_fn(inputs: Mapping[str, Any], custom_config: Mapping[str, str]) -> Tensors:
    """TFX's entry point: transforms a batch.

    Args:
        inputs: the raw columns by name: tensors [batch] for univalent columns, with `schema.feature_spec.MISSING` for
            missing values, and sparse tensors [batch, any] for multi-valent columns. Labels and the weight may be
            absent. In a served model, the two sides' columns may have different numbers of rows.
        custom_config: the configuration; its `spec` is the resolved feature spec as JSON.

    Returns:
        For each categorical feature and cross int64 ids [batch]; for each multi-valent one sparse int64 ids; for
        each numeric feature float32 [batch], 0 if missing, and, if the spec asks for them, `<name>_bucket`
        (int64 [batch]; the last bucket is for missing values) and `<name>_missing` (float32 [batch]).
    """
    spec = FeatureSpec.model_validate_json(custom_config["spec"])
    outputs: Tensors = {name: inputs[name] for name in (*spec.labels, WEIGHT) if name in inputs}
    numeric = {name: feature for name, feature in spec.features.items() if isinstance(feature, Numeric)}
    buckets: dict[str, tf.Tensor] = {}
    if numeric:
        outputs |= _scaled(spec, inputs, numeric)
        buckets = _buckets(spec, inputs, numeric)
        outputs |= {f"{name}_bucket": bucket for name, bucket in buckets.items()}
    outputs |= _ids(spec, tokens(spec, inputs, buckets))
    return outputs


def _scaled(spec: FeatureSpec, inputs: Mapping[str, Any], features: Mapping[str, Numeric]) -> Tensors:
    """Scales numeric features, with one analyzer each for all means, variances, minima and maxima.

    The analyzers compute in float64. In float32 the mean of large numbers that differ little, such as times, may lie
    outside their range.
    """
    outputs: Tensors = {}
    values: dict[str, tf.Tensor] = {}
    for name, feature in features.items():
        value = tf.cast(inputs[name], tf.float32)
        values[name] = tf.sign(value) * tf.math.log1p(tf.abs(value)) if feature.log1p else value
        if feature.missing_indicator:
            outputs[f"{name}_missing"] = tf.cast(tf.math.is_nan(value), tf.float32)

    by_scale = {
        scale: [name for name, feature in features.items() if feature.scale == scale]
        for scale in ("z_score", "min_max")
    }
    if names := by_scale["z_score"]:
        stacked = _stacked(values, names)
        mean = tft.mean(stacked, reduce_instance_dims=False)
        deviation = tf.sqrt(tft.var(stacked, reduce_instance_dims=False))
        values |= _standardized(spec, values, names, mean, deviation)
    if names := by_scale["min_max"]:
        stacked = _stacked(values, names)
        # Unlike those for the mean and the quantiles, these analyzers do not skip missing values.
        missing, infinity = tf.math.is_nan(stacked), tf.constant(np.inf, tf.float64)
        low = tft.min(tf.where(missing, infinity, stacked), reduce_instance_dims=False)
        high = tft.max(tf.where(missing, -infinity, stacked), reduce_instance_dims=False)
        values |= _standardized(spec, values, names, low, high - low)
    outputs |= {name: tf.where(tf.math.is_finite(value), value, 0.0) for name, value in values.items()}
    return outputs


def _stacked(values: Mapping[str, tf.Tensor], names: Sequence[str]) -> tf.Tensor:
    """Stacks columns: float64 [batch, names]."""
    return tf.cast(tf.stack([values[name] for name in names], axis=1), tf.float64)


def _standardized(
    spec: FeatureSpec, values: Mapping[str, tf.Tensor], names: Sequence[str], origin: tf.Tensor, unit: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Columns minus their origin, divided by their unit, both float64 [names]; 0 if the unit is 0."""
    found: dict[str, tf.Tensor] = {}
    for places in _by_side(spec, names):
        side = [names[place] for place in places]
        distances = _stacked(values, side) - tf.gather(origin, places)
        divided = tf.cast(tf.math.divide_no_nan(distances, tf.gather(unit, places)), tf.float32)
        found |= zip(side, tf.unstack(divided, num=len(side), axis=1), strict=True)
    return found


def _by_side(spec: FeatureSpec, names: Sequence[str]) -> list[list[int]]:
    """The places of the features' names, in groups whose features always have the same number of rows.

    A group has the features of one side. Features of items that are crossed with features of the context are a group of
    their own, since a served model needs no other features of an item that it knows.
    """
    crossed = {name for cross in spec.crosses if spec.side(cross.name) == "pair" for name in cross.columns}
    groups = [(spec.side(name), name in crossed) for name in names]
    return [[place for place, each in enumerate(groups) if each == group] for group in dict.fromkeys(groups)]


def _buckets(spec: FeatureSpec, inputs: Mapping[str, Any], features: Mapping[str, Numeric]) -> dict[str, tf.Tensor]:
    """The quantile bucket of each numeric feature with buckets, from one analyzer for each number of buckets."""
    result: dict[str, tf.Tensor] = {}
    counts = sorted({feature.buckets for feature in features.values() if feature.buckets})
    for count in counts:
        names = [name for name, feature in features.items() if feature.buckets == count]
        values = {name: tf.cast(inputs[name], tf.float32) for name in names}
        boundaries = tft.quantiles(
            tf.stack(list(values.values()), axis=1),
            num_buckets=count,
            epsilon=QUANTILE_ERROR / count,
            reduce_instance_dims=False,
        )
        for places in _by_side(spec, names):
            side = [names[place] for place in places]
            by_feature = tf.stack([values[name] for name in side])
            found = tf.searchsorted(tf.gather(boundaries, places), by_feature, side="right", out_type=tf.int64)
            ids = tf.where(tf.math.is_nan(by_feature), tf.constant(count, tf.int64), found)
            result |= zip(side, tf.unstack(ids, num=len(side)), strict=True)
    return result


def tokens(spec: FeatureSpec, inputs: Mapping[str, Any], buckets: Mapping[str, tf.Tensor]) -> Tensors:
    """Every categorical column, multi-valent column and cross as strings; missing values are empty.

    Args:
        spec: the resolved spec.
        inputs: the inputs of `preprocessing_fn`.
        buckets: the buckets of numeric features by name, int64 [batch], at least of those that are crossed.
    """
    crossed_columns = {column for cross in spec.crosses for column in cross.columns}
    parts = texts(spec, inputs, {name: bucket for name, bucket in buckets.items() if name in crossed_columns})
    found = {name: parts[name] for name, feature in spec.features.items() if not isinstance(feature, Numeric)}
    of_both = {column for cross in spec.crosses if spec.side(cross.name) == "pair" for column in cross.columns}
    repeated = _repeated(spec, {name: part for name, part in parts.items() if name in of_both})
    for cross in spec.crosses:
        columns = repeated if spec.side(cross.name) == "pair" else parts
        found[cross.name] = crossed([columns[column] for column in cross.columns])
    return found


def texts(spec: FeatureSpec, inputs: Mapping[str, Any], buckets: Mapping[str, tf.Tensor]) -> Tensors:
    """Columns as strings, with empty strings for missing values.

    Args:
        spec: the resolved spec.
        inputs: columns, as those of `preprocessing_fn`. Numeric ones are ignored.
        buckets: the buckets of numeric features by name, int64 [batch].
    """
    integers = dict(buckets)
    found: Tensors = {}
    for name, values in inputs.items():
        feature = spec.features.get(name)
        if isinstance(feature, Multivalent):
            found[name] = tf.SparseTensor(values.indices, _as_string(values.values), values.dense_shape)
        elif isinstance(feature, Categorical):
            (found if values.dtype == tf.string else integers)[name] = values
    names = list(integers)
    for places in _by_side(spec, names):
        found |= _as_strings({names[place]: integers[names[place]] for place in places})
    return found


def _as_string(values: tf.Tensor) -> tf.Tensor:
    if values.dtype == tf.string:
        return values
    return tf.where(values == MISSING["integer"], "", tf.strings.as_string(values))


def _as_strings(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Columns of integers as strings, all at once, since the cost of serving grows with the number of operations."""
    strings = _as_string(tf.stack(list(columns.values())))
    return dict(zip(columns, tf.unstack(strings, num=len(columns)), strict=True))


def _repeated(spec: FeatureSpec, parts: Tensors) -> Tensors:
    """Repeats the rows of the side that has one row; there are no rows if a side has none."""
    of_sides = {spec.side(name): part for name, part in parts.items()}
    if len(of_sides) < 2:
        return parts
    sizes = tf.stack([tf.shape(part, tf.int64)[0] for part in of_sides.values()])
    rows = tf.reduce_max(sizes) * tf.cast(tf.reduce_min(sizes) > 0, tf.int64)
    return {
        name: _repeated_list(part, rows) if isinstance(part, tf.SparseTensor) else tf.broadcast_to(part, [rows])
        for name, part in parts.items()
    }


def _repeated_list(part: tf.SparseTensor, rows: tf.Tensor) -> tf.SparseTensor:
    times = tf.where(part.dense_shape[0] == 1, rows, 1)
    added = tf.repeat(tf.range(times), tf.size(part.values))
    indices = tf.tile(part.indices, [times, 1]) + tf.stack([added, tf.zeros_like(added)], axis=1)
    return tf.SparseTensor(indices, tf.tile(part.values, [times]), [part.dense_shape[0] * times, part.dense_shape[1]])


def crossed(parts: Sequence[tf.Tensor | tf.SparseTensor]) -> tf.Tensor | tf.SparseTensor:
    """The tokens of a cross from its columns as strings, which have the same rows."""
    multivalent = [part for part in parts if isinstance(part, tf.SparseTensor)]
    if not multivalent:
        return tf.strings.join(list(parts), separator=SEPARATOR)
    if len(multivalent) > 1:
        return tf.sparse.cross([_sparse(part) for part in parts], separator=SEPARATOR)
    # The result of tf.sparse.cross in a tenth of its time: the others' single values beside each of this one's.
    (values,) = multivalent
    rows = values.indices[:, 0]
    beside = [part.values if part is values else tf.gather(part, rows) for part in parts]
    return tf.SparseTensor(values.indices, tf.strings.join(beside, separator=SEPARATOR), values.dense_shape)


def _sparse(values: tf.Tensor | tf.SparseTensor) -> tf.SparseTensor:
    """A sparse tensor with one value per row, including empty strings, which `tf.sparse.from_dense` drops.

    `tf.sparse.cross` also takes dense tensors, but puts their tokens behind those of sparse ones.
    """
    if isinstance(values, tf.SparseTensor):
        return values
    rows = tf.range(tf.size(values, out_type=tf.int64))
    return tf.SparseTensor(tf.stack([rows, tf.zeros_like(rows)], axis=1), values, [tf.size(rows, tf.int64), 1])


def _ids(spec: FeatureSpec, tokens: Tensors) -> Tensors:
    """Maps tokens to ids. For categorical features the last id stands for a missing value."""
    crosses: dict[str, Cross] = {cross.name: cross for cross in spec.crosses}
    flat = {name: values.values if isinstance(values, tf.SparseTensor) else values for name, values in tokens.items()}
    owners = {name: crosses.get(name) or spec.base(name) for name in tokens}
    vocabulary_of = {name: name if name in crosses else spec.base_name(name) for name in tokens}

    # Only univalent features can have empty tokens, which stand for missing values; lists and crosses have none.
    univalent = {name for name, values in tokens.items() if not isinstance(values, tf.SparseTensor)} - crosses.keys()

    hashed = {name: owner.hash_buckets for name, owner in owners.items() if owner.hash_buckets}
    uses = {
        name: Tokens(vocabulary_of[name], flat[name], owner.oov_buckets, missing=name in univalent)
        for name, owner in owners.items()
        if name not in hashed
    }
    limits = {vocabulary_of[name]: owners[name].vocabulary for name in uses}
    ids = vocabulary.compute_and_apply(uses, limits) if uses else {}
    for name, buckets in hashed.items():
        ids[name] = tf.strings.to_hash_bucket_fast(flat[name], buckets)
        if name in univalent:
            ids[name] = tf.where(flat[name] == "", tf.constant(buckets, tf.int64), ids[name])

    return {
        name: tf.SparseTensor(values.indices, ids[name], values.dense_shape)
        if isinstance(values, tf.SparseTensor)
        else ids[name]
        for name, values in tokens.items()
    }
