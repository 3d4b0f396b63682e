"""Reads a dataset's files into tf.Examples, checked and split.

TFX's CsvExampleGen infers types file by file, drops what it cannot read, and splits by hash only. This component
reads CSV, Parquet and TFRecord through `schema.reader` in Arrow batches, which names file and row of anything wrong,
and encodes a batch at a time. It keeps the driver of TFX's file-based ExampleGens: fingerprints of the files for the
cache, `{SPAN}` in file names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf import any_pb2, wrappers_pb2
from tfx.components.example_gen import component
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils
from tfx_bsl.coders import example_coder

from schema import reader
from schema.checks import Checks
from schema.dataset import Dataset
from schema.feature_spec import SPLITS, FeatureSpec
from schema.splits import Splitter

SUMMARY_FILE = "summary.json"
_CHECKS = "checks"


class ExampleGen(component.FileBasedExampleGen):  # type: ignore[misc]
    """Files -> `Examples` with the splits train, eval and test.

    Args:
        dataset: what to read.
        code: version of the code that reads, so that its change leads to new examples.
    """

    def __init__(self, dataset: Dataset, code: str) -> None:
        # An input split for each output split; where the files do not say, all three read the same files.
        patterns = dataset.patterns
        splits = [example_gen_pb2.Input.Split(name=split, pattern=patterns[split]) for split in SPLITS]
        settings = any_pb2.Any()
        settings.Pack(
            wrappers_pb2.StringValue(value=json.dumps({"spec": dataset.spec.model_dump_json(), "code": code}))
        )
        super().__init__(
            input_base=str(dataset.base),
            input_config=example_gen_pb2.Input(splits=splits),
            custom_config=example_gen_pb2.CustomConfig(custom_config=settings),
            custom_executor_spec=executor_spec.BeamExecutorSpec(Executor),
        )


class Executor(BaseExampleGenExecutor):  # type: ignore[misc]
    """Reads each part of each file (a Parquet row group, or a file) as one Beam element."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:  # noqa: N802 (TFX's name)
        """Not used: rows are split by the spec, not by TFX's hash of serialized examples."""
        raise NotImplementedError

    def GenerateExamplesByBeam(  # noqa: N802 (TFX's name)
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Split name -> serialized examples, checked.

        Raises:
            DataError: at once for what is wrong with a file as a whole; when the pipeline runs, for a row or for all.
        """
        spec = _spec(exec_properties)
        files = _files(exec_properties)
        every_file = sorted({path for paths in files.values() for path in paths})
        splitter = Splitter(spec, every_file)
        given = {path: split for split in reversed(SPLITS) for path in files[split]} if splitter.given else {}
        parts = [(str(path), part, given.get(path)) for path in every_file for part in range(reader.parts(path, spec))]
        outputs = (
            pipeline
            | "Parts" >> beam.Create(parts)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(spec, splitter)).with_outputs(_CHECKS, *SPLITS)
        )
        _ = (
            outputs[_CHECKS]
            | "Merge" >> beam.CombineGlobally(_merge)
            | "Verify" >> beam.Map(_verify, spec, self._get_tmp_dir() if False else exec_properties["_summary"])
        )
        return {split: outputs[split] for split in SPLITS}
