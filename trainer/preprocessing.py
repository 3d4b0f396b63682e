"""The feature spec as a TensorFlow graph: raw columns -> ids and scaled numbers.

TFX runs `preprocessing_fn` over the train split to find vocabularies, means and quantiles, and attaches the
resulting graph to the served model, so that a request is transformed as the training data was. The layout of its
output is `trainer.input_columns`' matter.

A request for a ranking has one row for its context and a row for each candidate. So columns of different sides
(`schema.features.Side`) are never computed together, except in the lookup of ids, where each column has its own number
of rows, and a cross of both sides repeats the row of the side that has only one.
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
        inputs: column name -> tensor; univalent columns [batch], with `schema.feature_spec.MISSING` where there is
            no value; multi-valent ones sparse [batch, any]. Labels and the weight may be absent. When a model is
            served, the columns of one side may have another number of rows than those of the other.
        custom_config: `spec` is the resolved feature spec as JSON.

    Returns:
        For each categorical feature and cross int64 ids [batch]; for each multi-valent one sparse int64 ids; for
        each numeric feature float32 [batch], 0 where missing, and where the spec asks for them `<name>_bucket`
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
    """Numeric features scaled, with all means, variances and extremes found by one analyzer each.

    In float64: in float32 the mean of large numbers that differ by little, such as times, is beside all of them.
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
        # Unlike the mean's and the quantiles', these analyzers do not pass over missing values.
        missing, infinity = tf.math.is_nan(stacked), tf.constant(np.inf, tf.float64)
        low = tft.min(tf.where(missing, infinity, stacked), reduce_instance_dims=False)
        high = tft.max(tf.where(missing, -infinity, stacked), reduce_instance_dims=False)
        values |= _standardized(spec, values, names, low, high - low)
    outputs |= {name: tf.where(tf.math.is_finite(value), value, 0.0) for name, value in values.items()}
    return outputs


def _stacked(values: Mapping[str, tf.Tensor], names: Sequence[str]) -> tf.Tensor:
    """Columns side by side: float64 [batch, names]."""
    return tf.cast(tf.stack([values[name] for name in names], axis=1), tf.float64)


def _standardized(
    spec: FeatureSpec, values: Mapping[str, tf.Tensor], names: Sequence[str], origin: tf.Tensor, unit: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Columns less their origin, divided by their unit, both float64 [names]; 0 where that is 0."""
    found: dict[str, tf.Tensor] = {}
    for places in _by_side(spec, names):
        side = [names[place] for place in places]
        distances = _stacked(values, side) - tf.gather(origin, places)
        divided = tf.cast(tf.math.divide_no_nan(distances, tf.gather(unit, places)), tf.float32)
        found |= zip(side, tf.unstack(divided, num=len(side), axis=1), strict=True)
    return found


def _by_side(spec: FeatureSpec, names: Sequence[str]) -> list[list[int]]:
    """The places of the features' names, those together that always have as many rows as each other.

    Those are the features of one side, and among the items' those that are crossed with the context's: of an item that
    a served model knows, it needs no others.
    """
    crossed = {name for cross in spec.crosses if spec.side(cross.name) == "pair" for name in cross.columns}
    groups = [(spec.side(name), name in crossed) for name in names]
    return [[place for place, each in enumerate(groups) if each == group] for group in dict.fromkeys(groups)]


def _buckets(spec: FeatureSpec, inputs: Mapping[str, Any], features: Mapping[str, Numeric]) -> dict[str, tf.Tensor]:
    """The quantile bucket of each numeric feature that has buckets; one analyzer for all of the same number."""
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
    """Every categorical column, multi-valent column and cross as strings; missing ones are empty.

    Args:
        spec: the resolved spec.
        inputs: as of `preprocessing_fn`.
        buckets: numeric feature -> its bucket, int64 [batch]; of those that are crossed.
    """
    crossed = {column for cross in spec.crosses for column in cross.columns}
    integers = {name: bucket for name, bucket in buckets.items() if name in crossed}
    for name, feature in spec.features.items():
        if isinstance(feature, Categorical) and inputs[name].dtype != tf.string:
            integers[name] = inputs[name]
    texts: Tensors = {}
    names = list(integers)
    for places in _by_side(spec, names):
        texts |= _as_strings({names[place]: integers[names[place]] for place in places})

    found: Tensors = {}
    for name, feature in spec.features.items():
        if isinstance(feature, Multivalent):
            values = inputs[name]
            found[name] = tf.SparseTensor(values.indices, _as_string(values.values), values.dense_shape)
        elif isinstance(feature, Categorical):
            found[name] = texts[name] if name in texts else inputs[name]
    parts = {**texts, **found}
    for cross in spec.crosses:
        crossed_parts = [parts[column] for column in cross.columns]
        found[cross.name] = _crossed(_repeated(crossed_parts) if spec.side(cross.name) == "pair" else crossed_parts)
    return found


def _as_string(values: tf.Tensor) -> tf.Tensor:
    if values.dtype == tf.string:
        return values
    return tf.where(values == MISSING["integer"], "", tf.strings.as_string(values))


def _as_strings(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Columns of integers as strings, all at once: serving costs by the operation."""
    strings = _as_string(tf.stack(list(columns.values())))
    return dict(zip(columns, tf.unstack(strings, num=len(columns)), strict=True))


def _repeated(parts: Sequence[tf.Tensor | tf.SparseTensor]) -> list[tf.Tensor | tf.SparseTensor]:
    """Columns of one row or of as many as the others, all with as many; none where one of them has none."""
    sizes = tf.stack([tf.shape(part, tf.int64)[0] for part in parts])
    rows = tf.reduce_max(sizes) * tf.cast(tf.reduce_min(sizes) > 0, tf.int64)
    return [
        _repeated_list(part, rows) if isinstance(part, tf.SparseTensor) else tf.broadcast_to(part, [rows])
        for part in parts
    ]


def _repeated_list(part: tf.SparseTensor, rows: tf.Tensor) -> tf.SparseTensor:
    times = tf.where(part.dense_shape[0] == 1, rows, 1)
    added = tf.repeat(tf.range(times), tf.size(part.values))
    indices = tf.tile(part.indices, [times, 1]) + tf.stack([added, tf.zeros_like(added)], axis=1)
    return tf.SparseTensor(indices, tf.tile(part.values, [times]), [part.dense_shape[0] * times, part.dense_shape[1]])


def _crossed(parts: Sequence[tf.Tensor | tf.SparseTensor]) -> tf.Tensor | tf.SparseTensor:
    multivalent = [part for part in parts if isinstance(part, tf.SparseTensor)]
    if not multivalent:
        return tf.strings.join(list(parts), separator=SEPARATOR)
    if len(multivalent) > 1:
        return tf.sparse.cross([_sparse(part) for part in parts], separator=SEPARATOR)
    # What tf.sparse.cross would give, in a tenth of its time: the one value of the others beside each of this one's.
    (values,) = multivalent
    rows = values.indices[:, 0]
    beside = [part.values if part is values else tf.gather(part, rows) for part in parts]
    return tf.SparseTensor(values.indices, tf.strings.join(beside, separator=SEPARATOR), values.dense_shape)


def _sparse(values: tf.Tensor | tf.SparseTensor) -> tf.SparseTensor:
    """One value per row, empty ones too (which `tf.sparse.from_dense` drops).

    `tf.sparse.cross` takes dense tensors as well, but puts their tokens behind those of the sparse ones.
    """
    if isinstance(values, tf.SparseTensor):
        return values
    rows = tf.range(tf.size(values, out_type=tf.int64))
    return tf.SparseTensor(tf.stack([rows, tf.zeros_like(rows)], axis=1), values, [tf.size(rows, tf.int64), 1])


def _ids(spec: FeatureSpec, tokens: Tensors) -> Tensors:
    """Tokens -> ids. For categorical features the last id stands for a missing value."""
    crosses: dict[str, Cross] = {cross.name: cross for cross in spec.crosses}
    flat = {name: values.values if isinstance(values, tf.SparseTensor) else values for name, values in tokens.items()}
    owners = {name: crosses.get(name) or spec.base(name) for name in tokens}
    vocabulary_of = {name: name if name in crosses else spec.base_name(name) for name in tokens}

    # What occurs once in each row may be missing; of a list's tokens and a cross's none is empty.
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
