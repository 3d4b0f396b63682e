"""What TFX's Trainer calls: from transformed examples to a SavedModel."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from trainer import calibration, heads, inputs, item_table, known_contexts, models, seen, warm_start, warmup
from trainer.distribution import is_chief, strategy_for
from trainer.export import ServedModel
from trainer.fit import Epoch, History, fit, remove_checkpoints
from trainer.input_columns import ids_of, input_columns
from trainer.item_table import ItemTable
from trainer.models.joint import Joint
from trainer.params import TrainParams
from trainer.search_space import chosen, tuned
from trainer.warm_start import EarlierModel, TakenOver

HISTORY_FILE = "history.json"
"""Beside the SavedModel: what each epoch came to."""
SPEC_FILE = "spec.json"
"""Beside the SavedModel: the resolved feature spec."""

_log = logging.getLogger(__name__)


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a model.

    Training that was killed goes on where it was when it is called again for the same data and parameters, provided
    that `work_dir` is the same; TFX gives every execution another `model_run_dir`.

    Args:
        fn_args: files of the train and eval splits, the transform graph, where to put the model and logs; optionally
            `base_model`, a model to begin with, and `hyperparameters`, a trial of `trainer.tune`; and as
            `custom_config`: `spec`, the resolved feature spec as JSON; `params`, the `TrainParams` as JSON;
            `work_dir`, a folder for checkpoints, emptied when the model is exported; and, optionally,
            `warmup_examples`, a pattern of files with raw examples to make warm-up requests from; `items` and
            `contexts`, Parquet files with the items of a ranking and the latest contexts of its groups, which may be
            missing; and `served_items`, the largest number of items that the served model knows.

    Raises:
        DataError: a split is empty, or all its labels are the same.
        SpecError: the model is unknown, or sees no column.
        TrainingError: the loss became infinite, or `calibration` finds scores that fall with the label.
    """
    config = fn_args.custom_config
    spec = FeatureSpec.model_validate_json(config["spec"])
    params = TrainParams.model_validate_json(config["params"])
    if fn_args.hyperparameters:
        params = tuned(params, chosen(fn_args.hyperparameters["values"]))
    strategy = strategy_for(params)
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    ids = ids_of(spec, transform_output)
    earlier = EarlierModel(fn_args.base_model) if fn_args.base_model else None

    keras.utils.set_random_seed(params.seed)
    with strategy.scope():
        columns = input_columns(spec, ids, earlier.widths if earlier else {})
        model = models.build(columns, params, heads.units_of(spec))
        taken_over = earlier.start(model, ids) if earlier and not model.is_counted else None
        if taken_over:
            _report_start(fn_args.base_model, taken_over)
    train, held_out = read_splits(fn_args, model, spec, params)
    head = heads.head_for(spec, params, train)
    _log.info("%s: %d parameters, %d rows to train on", params.model, _parameters(model), train.rows)

    this = config | {"params": params.model_dump_json(), "base_model": fn_args.base_model or ""}
    checkpoints = os.path.join(config["work_dir"], fingerprint(fn_args, this))
    with strategy.scope(), tf.summary.create_file_writer(fn_args.model_run_dir).as_default():
        history = fit(model, params, train, held_out, checkpoints, _report, head)
        if not is_chief():
            return
    if params.calibration != "none":
        assert isinstance(head, heads.Logistic), "the pipeline refuses to calibrate others"
        head = head.calibrated(calibration.fitted(params.calibration, model, held_out))

    contexts = known_contexts.read(config["contexts"], spec) if "contexts" in config else None
    served = ServedModel(model, head, spec, transform_output, _served_items(config, spec), contexts)
    signatures = served.save(fn_args.serving_model_dir)
    warm_start.write(model, ids, fn_args.serving_model_dir)
    seen.write(train, model.columns, fn_args.serving_model_dir)
    if pattern := config.get("warmup_examples"):
        warmup.write(fn_args.serving_model_dir, spec, signatures, [pattern])
    _write_history(
        os.path.join(os.path.dirname(fn_args.serving_model_dir), HISTORY_FILE),
        params,
        model,
        train,
        history,
        taken_over,
        served.known(),
        head,
    )
    with tf.io.gfile.GFile(os.path.join(os.path.dirname(fn_args.serving_model_dir), SPEC_FILE), "w") as file:
        file.write(config["spec"])
    remove_checkpoints(checkpoints)


def _served_items(config: Mapping[str, str], spec: FeatureSpec) -> ItemTable | None:
    """The items that the served model is to know."""
    items = item_table.read(config["items"], spec) if "items" in config else None
    return items if items and len(items) <= int(config["served_items"]) else None


def read_splits(
    fn_args: FnArgs, model: Joint, spec: FeatureSpec, params: TrainParams
) -> tuple[inputs.Examples, inputs.Examples]:
    """What a model is trained on, and what its training is stopped by.

    Raises:
        DataError: a split is empty, or all its labels are the same.
    """
    train = _read("train", fn_args.train_files, model, spec, params)
    return train, _read("eval", fn_args.eval_files, model, spec, params)


def _read(split: str, patterns: Sequence[str], model: Joint, spec: FeatureSpec, params: TrainParams) -> inputs.Examples:
    examples = inputs.read(patterns, model.columns, spec.weight is not None, params.memory_mb << 20, tuple(spec.labels))
    if not examples.rows:
        raise DataError(f"{split} split: expected rows, received none; see 'splits' in features.yaml")
    if spec.label.kind == "binary" and examples.positives in (0, examples.rows):
        raise DataError(
            f"{split} split: expected labels of both classes, received only {int(examples.positives > 0)} in "
            f"{examples.rows:,} rows; see 'label' and 'splits' in features.yaml"
        )
    return examples


def _parameters(model: Joint) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def fingerprint(fn_args: FnArgs, config: Mapping[str, str]) -> str:
    """Tells trainings apart: a digest of their configuration, transform graph, and examples."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for folder, _, files in sorted(tf.io.gfile.walk(fn_args.transform_graph_path)):
        for name in sorted(files):
            digest.update(f"{os.path.relpath(folder, fn_args.transform_graph_path)}/{name}".encode())
            with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())
    for pattern in [*fn_args.train_files, *fn_args.eval_files]:
        for path in sorted(tf.io.gfile.glob(pattern)):
            digest.update(f"{os.path.basename(path)}:{tf.io.gfile.stat(path).length}".encode())
    return digest.hexdigest()[:16]


def _report_start(path: str, taken_over: TakenOver) -> None:
    _log.info(
        "warm start from %s: %d of %d rows of tables, and the other weights of: %s",
        path,
        taken_over.rows,
        taken_over.all_rows,
        ", ".join(taken_over.parts) or "no part",
    )


def _report(index: int, epoch: Epoch) -> None:
    """Logs an epoch's outcome, for people and for TensorBoard."""
    auc = "" if epoch.eval_auc is None else f", AUC {epoch.eval_auc:.4f}"
    _log.info("epoch %d: loss %.4f, on eval %.4f%s, %.1f s", index + 1, epoch.loss, epoch.eval_loss, auc, epoch.seconds)
    # `tf.summary.scalar` would need TensorBoard installed; only who looks at the logs does.
    values = [
        tf.compat.v1.Summary.Value(tag=name, simple_value=value)
        for name, value in epoch.metrics.items()
        if value is not None
    ]
    summary = tf.compat.v1.Summary(value=values)
    tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=index + 1)


def _write_history(
    path: str,
    params: TrainParams,
    model: Joint,
    train: inputs.Examples,
    history: History,
    taken_over: TakenOver | None,
    known: Mapping[str, Mapping[str, int]],
    head: heads.Head,
) -> None:
    content = {
        "params": params.model_dump(mode="json"),
        "parameters": _parameters(model),
        "train_rows": train.rows,
        "best_epoch": history.best + 1,
        "warm_start": asdict(taken_over) if taken_over else None,
        "known": known,
        "head": head.state(),
        "epochs": [epoch.metrics for epoch in history.epochs],
    }
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(content, indent=2))
