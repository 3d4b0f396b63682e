"""Two replicas reach the same result as one, and so do two devices of which one holds the tables.

The tests run in processes of their own, since TensorFlow makes its devices when it starts.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import portpicker
import pytest

from schema.errors import RanklineError
from trainer import worker
from trainer.distribution import strategy_for
from trainer.params import TrainParams
from trainer.task import run_fn

SCRIPT = """
import json, sys, tempfile
import keras, numpy as np, tensorflow as tf

devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from schema.feature_spec import LABEL, WEIGHT
from trainer import distribution, fit as loop, models
from trainer.fit import fit
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.params import TrainParams

if sys.argv[1] == "2":
    mirrored = tf.distribute.MirroredStrategy
    tf.distribute.MirroredStrategy = lambda **options: mirrored(["CPU:0", "CPU:1"], **options)
params = TrainParams.model_validate_json(sys.argv[2])
params = params.model_copy(update={"distribution": "mirrored" if sys.argv[1] == "2" else "none"})
both = ("wide", "deep")
columns = (
    InputColumn("user", "categorical", both, size=20, width=4, table="user"),
    InputColumn("tags", "multivalent", both, size=5, width=4, table="tags", combiner="mean"),
    InputColumn("age", "numeric", ("deep",)),
)

def examples(rows, seed):
    random = np.random.default_rng(seed)
    user, age = random.integers(20, size=rows), random.normal(size=rows)
    return InMemoryExamples({
        "user": tf.constant(user),
        "tags": tf.ragged.constant([random.integers(5, size=size).tolist() for size in random.integers(3, size=rows)],
                                   tf.int64),
        "age": tf.constant(age, tf.float32),
        LABEL: tf.constant((user % 5 - 2 + age > 0).astype(np.float32)),
        WEIGHT: tf.constant(random.choice([0.5, 2.0], size=rows), tf.float32),
    })

slots = []
optimizer_for = loop.optimizer_for

def remembered(*arguments):
    optimizer = optimizer_for(*arguments)
    build = optimizer.build
    optimizer.build = lambda variables: (build(variables), slots.extend(optimizer.variables))
    return optimizer

loop.optimizer_for = remembered
strategy = distribution.strategy_for(params)
keras.utils.set_random_seed(0)
with strategy.scope(), tf.device("CPU:1" if sys.argv[1] == "host" else None):
    model = models.build(columns, params)
    with tempfile.TemporaryDirectory() as folder:
        # 301 rows: the last batch is smaller, and has no row for the second replica.
        history = fit(model, params, examples(301, 1), examples(100, 2), folder, lambda index, epoch: None)
print(json.dumps({
    "replicas": strategy.num_replicas_in_sync,
    "weights": [variable.numpy().tolist() for variable in model.variables],
    "losses": [epoch.loss for epoch in history.epochs],
    "aucs": [epoch.eval_auc for epoch in history.epochs],
    "devices": {variable.path: variable.value.device[-5:] for variable in [*model.variables, *slots]},
}))
"""


GRADIENTS = {"clip_norm": 0.1, "embedding_l2": 0.01, "ema": 0.5}


def params_with(options: Mapping[str, Any]) -> TrainParams:
    return TrainParams(epochs=2, batch_size=50, hidden_units=(8,), dropout=0, **options)


@functools.cache
def trained(devices: str, params: str) -> dict:
    """What comes of it; `params` are JSON."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, devices, params],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict = json.loads(done.stdout)
    assert found["replicas"] == (2 if devices == "2" else 1)
    return found


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(GRADIENTS, id="gradients"),
        pytest.param(
            {"model": "dcn_v2", "batch_norm": True, "schedule": {"name": "cosine"}, "deep_optimizer": {"name": "ftrl"}},
            id="batch_norm",
            marks=pytest.mark.long,
        ),
    ],
)
def test_two_replicas_come_to_what_one_comes_to(options: dict) -> None:
    params = params_with(options).model_dump_json()
    one, two = trained("1", params), trained("2", params)
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(two["aucs"], one["aucs"], rtol=1e-5)
    for expected, found in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_tables_in_the_hosts_memory_change_nothing_else() -> None:
    """The tables and their slots are on one device, all that is multiplied and its slots on the other."""
    plain = trained("1", params_with(GRADIENTS).model_dump_json())
    host = trained("host", params_with({**GRADIENTS, "tables": "host"}).model_dump_json())
    assert host["losses"] == pytest.approx(plain["losses"], rel=1e-6)
    on_host = {path for path, device in host["devices"].items() if device == "CPU:0"}
    tables = {path for path in host["devices"] if "table" in path or "wide_ids" in path}
    assert len(tables) > 4
    assert {path for path in host["devices"] if "dense" in path}.isdisjoint(on_host)
    assert tables <= on_host


def in_two_processes(folder: Path, params: TrainParams, toy) -> None:
    """Trains with a chief, as the Trainer does, and another worker; both end well."""
    ports = [portpicker.pick_unused_port() for _ in range(2)]
    arguments = toy.fn_args(folder / "output", folder / "work", params)
    chief = f"""
from tfx.components.trainer.fn_args_utils import FnArgs
from trainer import worker
from trainer.task import run_fn
fn_args = FnArgs(**{ {name: getattr(arguments, name) for name in (*worker._FIELDS, "model_run_dir")}!r})
worker.announce(fn_args)
run_fn(fn_args)
worker.withdraw({str(folder / "work")!r})
"""
    commands = [["-c", chief], ["-m", "trainer.worker", str(folder / "work")]]
    processes = []
    for index, command in enumerate(commands):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | {"TF_CONFIG": json.dumps(task)},
                cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
        )  # fmt: skip
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "".join(outputs)[-3000:]


@pytest.mark.long
def test_two_machines_come_to_what_one_comes_to(toy, tmp_path: Path) -> None:
    params = TrainParams(epochs=2, batch_size=50, hidden_units=(8,), dropout=0, distribution="multi_worker")
    in_two_processes(tmp_path / "two", params, toy)
    run_fn(
        toy.fn_args(
            tmp_path / "one" / "output", tmp_path / "one" / "work", params.model_copy(update={"distribution": "none"})
        )
    )
    two, one = (
        json.loads((tmp_path / name / "output" / "history.json").read_text())["epochs"] for name in ("two", "one")
    )
    for name in ("loss", "eval_loss", "eval_auc"):
        assert [epoch[name] for epoch in two] == pytest.approx([epoch[name] for epoch in one], rel=1e-4)
    assert (tmp_path / "two" / "output" / "Format-Serving" / "saved_model.pb").exists()
    assert list((tmp_path / "two" / "work").iterdir()) == []


def test_a_worker_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(
        RanklineError, match="expected a training with 'distribution: multi_worker', found none in time"
    ):
        worker.take_part(str(tmp_path), timeout_s=0)


def test_one_device_by_default() -> None:
    assert strategy_for(TrainParams()).num_replicas_in_sync == 1
