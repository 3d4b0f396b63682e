"""`python -m trainer.worker WORK_DIR`: takes part in a training run that another machine leads.

A training run with `distribution: multi_worker` is led by the Trainer, on the machine that TF_CONFIG calls chief or
worker 0, and waits for all other machines. On these, this module does the same steps on other shares of the batches.
All machines see the same files, and each has TensorFlow's TF_CONFIG, with its own `task`::

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}}' \\
        python -m trainer.worker runs/movielens/work

Only the chief writes checkpoints, logs and the model.
"""

from __future__ import annotations

import json
import os
import tempfile
import time

import click
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from schema.errors import RanklineError
from trainer.task import run_fn

_FILE = "fn_args.json"
_FIELDS = (
    "train_files", "eval_files", "transform_graph_path", "serving_model_dir", "custom_config", "base_model",
    "hyperparameters",
)  # fmt: skip
_POLL_S = 0.5


def announce(fn_args: FnArgs) -> None:
    """Announces a training run to the other workers. The chief calls this before `run_fn`."""
    content = {name: getattr(fn_args, name) for name in _FIELDS}
    path = os.path.join(fn_args.custom_config["work_dir"], _FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(f"{path}.partial", "w") as file:
        file.write(json.dumps(content))
    tf.io.gfile.rename(f"{path}.partial", path, overwrite=True)


def withdraw(work_dir: str) -> None:
    """Withdraws the announcement after the training run."""
    tf.io.gfile.remove(os.path.join(work_dir, _FILE))


def take_part(work_dir: str, timeout_s: float) -> None:
    """Waits until a training run is announced, and takes part in it until it ends.

    Args:
        work_dir: the work folder of the training run.
        timeout_s: the time to wait for the announcement, in seconds.

    Raises:
        RanklineError: no training run was announced in time.
    """
    path = os.path.join(work_dir, _FILE)
    deadline = time.monotonic() + timeout_s
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise RanklineError(f"{path}: expected a training with 'distribution: multi_worker', found none in time")
        time.sleep(_POLL_S)
    with open(path, encoding="utf-8") as file:
        content = json.loads(file.read())
    with tempfile.TemporaryDirectory(prefix="rankline-worker-") as logs:
        run_fn(FnArgs(**content, model_run_dir=logs))


@click.command(context_settings={"show_default": True})
@click.argument("work_dir", type=click.Path(file_okay=False))
@click.option("--timeout", default=600.0, help="Seconds to wait for the training to begin.")
def main(work_dir: str, timeout: float) -> None:
    """Takes part in the training in WORK_DIR (runs/DATASET/work), as TF_CONFIG says."""
    try:
        take_part(work_dir, timeout)
    except RanklineError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
