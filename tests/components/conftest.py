"""Datasets that go through the first components, and a model small enough to know its answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.types import Artifact, artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from components.evaluation.answers import Answers
from components.evaluation.rows import Rows
from components.evaluation.tfma_config import eval_config
from components.evaluation.thresholds import GateParams, Threshold
from components.evaluator import Executor as EvaluatorExecutor
from components.example_gen import ExampleGen, fingerprinted
from components.statistics_gen import Executor as StatisticsGenExecutor
from pipeline.config.beam import Direct
from schema.dataset import Dataset, find

_BEAM = Direct().arguments()
_PARAMS = GateParams()


def _dataset(folder: Path, description: str, files: Mapping[str, str | pa.Table]) -> Dataset:
    folder.mkdir()
    (folder / "features.yaml").write_text(description)
    for name, content in files.items():
        if isinstance(content, pa.Table):
            pq.write_table(content, folder / name, row_group_size=2)
        else:
            (folder / name).write_text(content)
    return find(folder)


def _examples(dataset: Dataset, folder: Path, **of_spans: object) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    ExampleGen.test_call(
        examples=examples,
        spec=dataset.spec.model_dump_json(),
        files=fingerprinted(dataset),
        code="",
        beam_pipeline=beam.Pipeline(argv=_BEAM),
        **of_spans,
    )
    return examples


def _statistics(examples: standard_artifacts.Examples, folder: Path) -> standard_artifacts.ExampleStatistics:
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(folder)
    context = StatisticsGenExecutor.Context(beam_pipeline_args=_BEAM, tmp_dir=str(folder), unique_id="0")
    StatisticsGenExecutor(context).Do({"examples": [examples]}, {"statistics": [statistics]}, {"exclude_splits": "[]"})
    return statistics


def _read(examples: standard_artifacts.Examples, split: str) -> list[dict[str, list]]:
    files = sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
    records = tf.data.TFRecordDataset([str(file) for file in files], compression_type="GZIP").as_numpy_iterator()
    return [_values(tf.train.Example.FromString(record)) for record in records]


def _values(example: tf.train.Example) -> dict[str, list]:
    values = {}
    for name, feature in example.features.feature.items():
        if kind := feature.WhichOneof("kind"):
            found = list(getattr(feature, kind).value)
            values[name] = [text.decode() for text in found] if kind == "bytes_list" else found
    return values


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Writes and finds a dataset: (folder, description, {file name: text, or a table as Parquet})."""
    return _dataset


@pytest.fixture(scope="session")
def make_examples() -> Callable[..., standard_artifacts.Examples]:
    """Runs ExampleGen: (dataset, the artifact's folder, what it is told of spans)."""
    return _examples


@pytest.fixture(scope="session")
def make_statistics() -> Callable[..., standard_artifacts.ExampleStatistics]:
    """Runs StatisticsGen: (examples, the artifact's folder)."""
    return _statistics


def _evaluate(
    folder: Path,
    dataset: Dataset,
    inputs: Mapping[str, Sequence[Artifact]],
    thresholds: Mapping[str, Threshold],
    params: GateParams = _PARAMS,
) -> tuple[standard_artifacts.ModelEvaluation, standard_artifacts.ModelBlessing]:
    made, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    made.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    EvaluatorExecutor(EvaluatorExecutor.Context(beam_pipeline_args=_BEAM, tmp_dir=str(folder), unique_id="0")).Do(
        dict(inputs),
        {"evaluation": [made], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(eval_config(dataset.spec)),
            "spec": dataset.spec.model_dump_json(),
            "thresholds": json.dumps({name: each.model_dump() for name, each in thresholds.items()}),
            "params": params.model_dump_json(),
            "example_splits": '["test"]',
            "module_path": "components.evaluation.tfma_extracts",
        },
    )
    return made, blessing


@pytest.fixture(scope="session")
def run_evaluator() -> Callable[..., tuple[standard_artifacts.ModelEvaluation, standard_artifacts.ModelBlessing]]:
    """Runs the Evaluator: (folder, dataset, input artifacts, thresholds, parameters of the gate)."""
    return _evaluate


@pytest.fixture(scope="session")
def read_examples() -> Callable[..., list[dict[str, list]]]:
    """Reads (examples, split): each example's values by feature."""
    return _read


class Linear(tf.Module):
    """The logit of an example is its feature x, and 0 where that is missing."""

    def logit(self, x: tf.Tensor) -> tf.Tensor:
        return x

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = self.logit(tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})["x"])
        return {"logit": logit, "probability": tf.sigmoid(logit)}


class Reversed(Linear):
    """Wrong where Linear is right."""

    def logit(self, x: tf.Tensor) -> tf.Tensor:
        return -x


class Fickle(Linear):
    """Never gives the same answer twice."""

    def logit(self, x: tf.Tensor) -> tf.Tensor:
        # Not by the seed that another test has given TensorFlow.
        return x + tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=x.dtype, seed=0, seed2=0)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Saves a model of that name as TFX keeps it; gives the folder of the Model artifact."""

    def make(name: str = "Linear") -> Path:
        folder = tmp_path_factory.mktemp(name)
        model = {"Linear": Linear, "Reversed": Reversed, "Fickle": Fickle}[name]()
        signatures = {"serving_default": model.serving_default}
        tf.saved_model.save(model, str(folder / "Format-Serving"), signatures=signatures)
        return folder

    return make


def _rows(count: int = 400, baseline: bool = True, groups: int | None = 20) -> Rows:
    dice = np.random.default_rng(3)
    logit = dice.normal(size=count)
    labels = (dice.random(count) < 1 / (1 + np.exp(-logit))).astype(float)

    def answers(noise: float) -> Answers:
        values = 1 / (1 + np.exp(-(logit + noise * dice.normal(size=count))))
        return Answers(values, np.zeros(0, int), np.zeros(0))

    return Rows(
        kind="binary",
        labels=labels,
        weights=dice.choice([0.5, 1.0, 2.0], count),
        candidate=answers(0.2),
        baseline=answers(1.0) if baseline else None,
        groups=dice.integers(0, groups, count) if groups else None,
        columns={"city": np.where(np.arange(count) % 3, "Rome", "Oslo").astype(object)},
        examples=np.full(count, b"", object),
    )


@pytest.fixture(scope="session")
def make_rows():
    """Rows of a binary label with a model that is better than its baseline."""
    return _rows
