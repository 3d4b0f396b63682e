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
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf import any_pb2, struct_pb2
from tfx.components.example_gen import component
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils
from tfx_bsl.coders import example_coder

from schema import reader, splits
from schema.checks import Checks
from schema.dataset import Dataset
from schema.feature_spec import FeatureSpec
from schema.rows import SPLITS, GivenSplits, TimeSplits

SUMMARY_FILE = "summary.json"
_CHECKS = "checks"
