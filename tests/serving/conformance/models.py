"""The models of the conformance suite: SavedModels small enough to work their answers out by hand, and the files that
configure a server of them.

    python -m tests.serving.conformance.models FOLDER --mounted-at /models

Signatures are put together from single tensors of a graph, including some that no exporter would write: they load, and
must fail when they are called. Only `ranker` comes from Rankline's exporter, see `tests.serving.conformance.ranker`.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.config import model_server_config_pb2
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.serving.conformance import ranker

MONITORING = "prometheus_config { enable: true }\n"
BATCHING = "num_batch_threads { value: 2 }\n"
OWN_BATCHING = """max_batch_size { value: 4 }
allowed_batch_sizes: 2
allowed_batch_sizes: 4
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 100 }
"""
"""Of `batched` and `batched_ranker` alone: other models' requests need not have a row for each example."""

ECHOED = ["bfloat16", "bool", "complex64", "float16", "float32", "float64", "int8", "int16", "int32", "int64"]
ECHOED += ["string", "uint8", "uint16", "uint32", "uint64"]
"""Types of which `types` has a signature each, named after it, that answers y = x."""

_CLASSIFY, _REGRESS, _PREDICT = (f"tensorflow/serving/{method}" for method in ("classify", "regress", "predict"))

Signatures = dict[str, meta_graph_pb2.SignatureDef]


def write(folder: Path, mounted_at: str) -> None:
    """Writes the models and the files of a server of them.

    Args:
        folder: where to; it may exist.
        mounted_at: the folder's path for the server.
    """
    for version in (1, 2, 3):
        for name in ("linear", "latest", "newcomer"):
            _save(folder / name / str(version), lambda version=version: _linear(version))
    for version in (1, 3):
        _save(folder / "all" / str(version), lambda version=version: _linear(version))
    (folder / "all" / "not_a_version").mkdir(exist_ok=True)
    _save(folder / "padded" / "0007", lambda: _linear(7))
    _save(folder / "named" / "1", lambda: {"halves": _linear(0)["serving_default"]})
    _save(folder / "types" / "1", _types)
    _save(folder / "examples" / "1", _examples)
    _save(folder / "batched" / "1", _batched)
    if not (folder / "ranker" / "1").exists():
        ranker.save(folder / "ranker" / "1")
    shutil.copytree(folder / "ranker", folder / "batched_ranker", dirs_exist_ok=True)
    for name in ("batched", "batched_ranker"):
        (folder / name / "1" / "batching_params.pbtxt").write_text(OWN_BATCHING)
    _save(folder / "half_broken" / "1", lambda: _linear(1))
    for path in (folder / "broken" / "1", folder / "half_broken" / "2"):
        path.mkdir(parents=True, exist_ok=True)
        (path / "not_a_saved_model").touch()
    (folder / "models.config").write_text(text_format.MessageToString(server_config(mounted_at)))
    (folder / "monitoring.config").write_text(MONITORING)
    (folder / "batching.config").write_text(BATCHING)


def server_config(mounted_at: str) -> ModelServerConfig:
    """The configuration that the server starts with: all models but `newcomer` and the broken ones.

    Args:
        mounted_at: the models' folder as the server sees it.
    """
    config = ModelServerConfig()
    linear = add_model(config, "linear", mounted_at)
    linear.model_version_policy.specific.versions.extend([1, 2])
    linear.version_labels.update({"stable": 1, "canary": 2})
    add_model(config, "latest", mounted_at).model_version_policy.latest.num_versions = 2
    add_model(config, "all", mounted_at).model_version_policy.all.SetInParent()
    for name in ("padded", "named", "types", "examples", "batched", "ranker", "batched_ranker"):
        add_model(config, name, mounted_at)
    return config


def add_model(config: ModelServerConfig, name: str, mounted_at: str) -> model_server_config_pb2.ModelConfig:
    """Adds a model of the folder to a configuration, to be served by its latest version."""
    return config.model_config_list.config.add(
        name=name, base_path=f"{mounted_at.rstrip('/')}/{name}", model_platform="tensorflow"
    )


def _save(path: Path, build: Callable[[], Signatures]) -> None:
    """Saves the signatures that `build` makes in a graph of their own, unless they are there already."""
    if path.exists():
        return
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        builder = tf.compat.v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], build())
        builder.save()


def _signature(
    inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor], method: str = _PREDICT
) -> meta_graph_pb2.SignatureDef:
    described = [
        {name: tf.compat.v1.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
        for tensors in (inputs, outputs)
    ]
    return tf.compat.v1.saved_model.build_signature_def(*described, method)


def _linear(version: int) -> Signatures:
    """y = x / 2 + version."""
    x = tf.compat.v1.placeholder(tf.float32, [None], "x")
    return {"serving_default": _signature({"x": x}, {"y": x / 2 + version})}


def _types() -> Signatures:
    """Signatures for Predict: of all types, several inputs, defaults, and answers that REST cannot write."""
    x = {name: tf.compat.v1.placeholder(name, None, f"x_{name}") for name in ECHOED}
    floats, scale, shift = (tf.compat.v1.placeholder(tf.float32, None, name) for name in ("floats", "scale", "shift"))
    several = {"ints": x["int64"], "floats": floats, "strings": x["string"]}
    signatures = {name: _signature({"x": x[name]}, {"y": tf.identity(x[name])}) for name in ECHOED}
    signatures |= {
        "serving_default": signatures["float32"],
        "several": _signature(several, {name: tf.identity(tensor) for name, tensor in several.items()}),
        "defaults": _signature({"x": floats, "scale": scale, "shift": shift}, {"y": floats * scale + shift}),
        "bytes": _signature(
            {"image_bytes": x["string"]}, {"image_bytes": tf.identity(x["string"]), "text": tf.identity(x["string"])}
        ),
        "constant": _signature({}, {"y": tf.constant([42], tf.int32)}),
        "sum": _signature({"x": floats}, {"y": tf.reduce_sum(floats)}),
        "uneven": _signature({"x": floats}, {"y": tf.identity(floats), "z": tf.concat([floats, floats], 0)}),
        "checked": _signature({"x": floats}, {"y": tf.debugging.check_numerics(floats, "x must be a number")}),
    }
    for name, value in (("scale", 3.0), ("shift", 0.5)):
        signatures["defaults"].defaults[name].CopyFrom(tf.make_tensor_proto(value))
    return signatures


def _examples() -> Signatures:
    """Signatures for Classify and Regress of the features x (a number, or 0) and name (a string, or empty)."""
    inputs = {"inputs": tf.compat.v1.placeholder(tf.string, [None], "inputs")}
    features = tf.io.parse_example(
        inputs["inputs"],
        {"x": tf.io.FixedLenFeature([], tf.float32, 0.0), "name": tf.io.FixedLenFeature([], tf.string, "")},
    )
    x, name = features["x"], features["name"]
    scores = tf.stack([x, 2 * x], axis=1)
    classes = tf.stack([name, name + "!"], axis=1)
    outputs = {"outputs": x / 2 + 2}
    classifiers = {
        "classify": {"classes": classes, "scores": scores},
        "only_scores": {"scores": scores},
        "only_classes": {"classes": classes},
        "unknown_outputs": {"y": scores},
        "three_outputs": {"classes": classes, "scores": scores, "y": x},
        "flat_scores": {"classes": classes, "scores": x},
        "flat_classes": {"classes": name, "scores": scores},
        "double_scores": {"scores": tf.cast(scores, tf.float64)},
        "numeric_classes": {"classes": tf.cast(scores, tf.int64)},
        "too_few_scores": {"scores": scores[:1]},
        "too_few_classes": {"classes": classes[:1]},
        "unlike_widths": {"classes": classes, "scores": tf.concat([scores, scores[:, :1]], axis=1)},
    }
    regressors = {
        "serving_default": outputs,
        "one_column": {"outputs": outputs["outputs"][:, tf.newaxis]},
        "two_columns": {"outputs": scores},
        "scalar": {"outputs": tf.reduce_sum(x)},
        "cube": {"outputs": scores[:, :, tf.newaxis]},
        "too_few": {"outputs": x[:1]},
        "double": {"outputs": tf.cast(x, tf.float64)},
    }
    return {
        **{key: _signature(inputs, value, _CLASSIFY) for key, value in classifiers.items()},
        **{key: _signature(inputs, value, _REGRESS) for key, value in regressors.items()},
        "two_inputs": _signature({**inputs, "other": inputs["inputs"]}, outputs),
        "unknown_input": _signature({"examples": inputs["inputs"]}, {"scores": scores}),
    }


def _batched() -> Signatures:
    """Signatures for Predict that say how many rows were computed at once, and others that cannot be batched."""
    x, z = (tf.compat.v1.placeholder(tf.float32, None, name) for name in ("x", "z"))
    return {
        "serving_default": _signature({"x": x}, {"y": x / 2, "rows": tf.fill(tf.shape(x), tf.shape(x)[0])}),
        "pair": _signature({"x": x, "z": z}, {"y": x + z}),
        "sum": _signature({"x": x}, {"y": tf.reduce_sum(x)}),
        "first": _signature({"x": x}, {"y": x[:1]}),
        "constant": _signature({}, {"y": tf.constant([42], tf.int32)}),
    }


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--mounted-at", help="The folder's path for the server, if it is another: in a container, /models.")
def main(folder: Path, mounted_at: str | None) -> None:
    """Writes the models of the conformance suite into FOLDER, with models.config, monitoring.config and
    batching.config for a server of them."""
    write(folder, mounted_at or str(folder.absolute()))


if __name__ == "__main__":
    main()
