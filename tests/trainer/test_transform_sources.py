"""The columns that an output depends on, compared with TFT's, for many graphs."""

import pytest
import tensorflow as tf
from tensorflow_transform.saved import saved_transform_io_v2

from trainer import transform_sources

AS_TFT = saved_transform_io_v2._get_output_to_inputs_map


def apart(x, y, words, sparse):
    return {"x": x + 1, "y": y * 2.0, "sparse": sparse}


def joined(x, y, words, sparse):
    both = tf.concat([words, sparse.values], axis=0)
    first, second = tf.split(both, [tf.size(words), tf.size(sparse.values)])
    return {"first": first, "second": tf.SparseTensor(sparse.indices, second, sparse.dense_shape), "x": x}


def captured(x, y, words, sparse):
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    return {"looked_up": table.lookup(words), "y": y}


def repeated(x, y, words, sparse):
    return {"sum": tf.while_loop(lambda n, _: n < 3, lambda n, s: [n + 1, s + y], [0, tf.cast(x, tf.float32)])[1]}


def of_nothing(x, y, words, sparse):
    return {"constant": tf.constant([1, 2]), "x": x}


def loop_of_version_1(x, y, words, sparse):
    tf.compat.v1.disable_control_flow_v2()
    try:
        return repeated(x, y, words, sparse)
    finally:
        tf.compat.v1.enable_control_flow_v2()


@pytest.mark.parametrize("transform", [apart, joined, captured, repeated, of_nothing, loop_of_version_1])
def test_the_sources_are_those_of_tft(transform):
    with tf.Graph().as_default():
        x = tf.compat.v1.placeholder(tf.int64, [None], "x")
        y = tf.compat.v1.placeholder(tf.float32, [None], "y")
        words = tf.compat.v1.placeholder(tf.string, [None], "words")
        outputs = transform(x, y, words, tf.compat.v1.sparse_placeholder(tf.string, [None, None], "sparse"))
        found, expected = transform_sources.of_outputs(outputs), AS_TFT(outputs)
    assert {name: {tensor.name for tensor in sources} for name, sources in found.items()} == {
        name: {tensor.name for tensor in sources} for name, sources in expected.items()
    }


def test_no_outputs():
    assert transform_sources.of_outputs({}) == {}


def test_tft_is_as_it_was_afterwards():
    with transform_sources.found_together():
        assert saved_transform_io_v2._get_output_to_inputs_map is transform_sources.of_outputs
    assert saved_transform_io_v2._get_output_to_inputs_map is AS_TFT
