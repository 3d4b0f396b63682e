import os

import apache_beam as beam
import numpy as np
import pandas as pd
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluation import evaluated_rows
from schema.feature_spec import FeatureSpec

ROWS, BATCH = 1000, 10


@pytest.fixture
def spec():
    return FeatureSpec.model_validate(
        {"columns": {"y": "integer", "x": "float"}, "label": {"column": "y"}, "features": {"x": {}}}
    )


@pytest.fixture
def eval_config():
    return config_pb2.EvalConfig(model_specs=[config_pb2.ModelSpec(prediction_key="probability")])


def extracts(start: int) -> dict[str, object]:
    numbers = range(start, start + BATCH)
    return {
        tfma.INPUT_KEY: np.array([str(n).encode() for n in numbers], object),
        tfma.PREDICTIONS_KEY: {"probability": np.array(numbers, np.float32)[:, None] / ROWS},
        tfma.LABELS_KEY: np.zeros(BATCH),
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_sample_is_kept_by_however_many_workers(workers, spec, eval_config, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluated_rows, "MOST_ROWS", 100)
    options = beam.options.pipeline_options.PipelineOptions(
        runner="DirectRunner", direct_running_mode="multi_threading", direct_num_workers=workers
    )
    with evaluated_rows.kept_in(str(tmp_path), spec):
        with beam.Pipeline(options=options) as pipeline:
            batches = pipeline | beam.Create(range(0, ROWS, BATCH)) | beam.Reshuffle() | beam.Map(extracts)
            batches | evaluated_rows.keeper(eval_config).ptransform
        parts = os.listdir(tmp_path / "parts")
    kept = evaluated_rows.read(str(tmp_path))
    examples = np.array([str(n).encode() for n in range(ROWS)], object)
    expected = examples[np.argsort(pd.util.hash_array(examples, categorize=False))[:100]]
    assert kept["example"].to_pylist() == expected.tolist()
    assert kept["candidate"].to_pylist() == pytest.approx([int(n) / ROWS for n in expected])
    assert len(parts) == workers
    assert os.listdir(tmp_path) == [evaluated_rows.FILE]


def test_without_rows_there_is_no_file(spec, eval_config, tmp_path):
    with evaluated_rows.kept_in(str(tmp_path), spec), beam.Pipeline("DirectRunner") as pipeline:
        pipeline | beam.Create([]) | evaluated_rows.keeper(eval_config).ptransform
    assert not os.listdir(tmp_path)
