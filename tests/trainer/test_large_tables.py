"""A table of ten million rows, trained on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.fit import optimizer_for
from trainer.input_columns import InputColumn
from trainer.params import TrainParams

ROWS = 10_000_000
WIDTH = 16
TABLE_KIB = ROWS * WIDTH * 4 // 1024


def memory_kib(key: str) -> int:
    """VmRSS, the memory of this process, or VmHWM, the most that it was since `forget_peak`."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.long
def test_a_step_changes_the_rows_of_its_batch_and_makes_nothing_of_a_table_s_size() -> None:
    params = TrainParams(model="wide_deep", hidden_units=(8,), activation="tanh", dropout=0.0)
    column = InputColumn("id", "categorical", ("wide", "deep"), size=ROWS, width=WIDTH, table="id")
    model = models.build([column], params)
    (table,) = model.embedding_tables
    assert table.shape == (ROWS, WIDTH)
    optimizer = optimizer_for(model, params, 10)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(ids: tf.Tensor, labels: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = tf.squeeze(model({"id": ids}, training=True), axis=1)
            loss = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    generator = np.random.default_rng(0)
    batches = [tf.constant(generator.integers(0, ROWS, 4096)) for _ in range(3)]
    labels = tf.constant(generator.integers(0, 2, 4096), tf.float32)
    step(batches[0], labels)
    before = table.numpy().copy()
    used = memory_kib("VmRSS")
    forget_peak()
    for ids in batches[1:]:
        step(ids, labels)
    peak = memory_kib("VmHWM")

    changed = np.flatnonzero((table.numpy() != before).any(axis=1))
    np.testing.assert_array_equal(changed, np.unique(np.concatenate(batches[1:])))
    assert peak - used < TABLE_KIB / 4
