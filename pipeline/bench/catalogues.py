"""`rankline bench-serve --catalogue`: what rankings cost as the catalogue grows.

The items are generated, with the columns of the Criteo logs: odd ones describe the context, even ones the item, so that
the dataset's crosses are of both. The models are not trained, since their weights make no difference to their speed.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
import yaml
from rich.table import Table
from tensorflow_serving.apis import predict_pb2

import schema
from pipeline.bench import ways
from pipeline.bench.served import Served, loaded
from pipeline.bench.ways import Way
from pipeline.terminal.tables import add_row, new_table
from schema.criteo.generator import IDS, NUMBERS, Generator
from schema.criteo.source import hashed
from schema.feature_spec import LABEL, ColumnType, FeatureSpec
from schema.signatures import RANK
from serving.tensor_proto import Array, fill_content
from trainer import models
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.input_columns import ids_of, input_columns
from trainer.item_table import ItemTable
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn
from trainer.raw_columns import raw_columns

MODELS = ("wide_deep", "dcn_v2")

_NAME = "generated"
_USER, _ITEM = "user_id", "item_id"
_USERS = 1000
_ROWS = 5000
"""The rows that the vocabularies are of."""
_REQUESTS = 20
_CANDIDATES = 100
_WIDTH = 8
"""The width of embeddings."""


@dataclass(frozen=True)
class Setting:
    """The size of the measurement.

    Attributes:
        items: the sizes of the catalogues.
        models: the models to serve.
        rounds: the turns of each way to ask, of which the median counts.
        seconds: the length of a turn.
    """

    items: Sequence[int]
    models: Sequence[str]
    rounds: int = 3
    seconds: float = 1.0


@dataclass(frozen=True)
class Catalogue:
    """The result for one model of one catalogue.

    Attributes:
        known_mebibytes: what the model knows of its items, without texts.
        loaded_mebibytes: the server's memory when the model is loaded.
        most_mebibytes: the most memory that the server took, in all requests.
    """

    model: str
    items: int
    known_mebibytes: int
    loaded_mebibytes: int
    most_mebibytes: int
    ways: list[Way]


@dataclass
class CatalogueBenchmark:
    """All measurements of one run."""

    catalogues: list[Catalogue] = field(default_factory=list)


def run(setting: Setting, on_step: Callable[[str], None]) -> CatalogueBenchmark:
    """Measures models that know so many generated items.

    Args:
        setting: the size of the measurement.
        on_step: a function that is called before each step, with the step's name.
    """
    result = CatalogueBenchmark()
    with tempfile.TemporaryDirectory(prefix="rankline-bench-") as folder:
        on_step("analysing rows")
        spec = _spec()
        generator = Generator()
        graph = _transform_graph(spec, generator, Path(folder))
        for items in setting.items:
            columns = _columns(spec, generator, items)
            table = ItemTable({name: values for name, values in columns.items() if spec.side(name) == "item"})
            for model in setting.models:
                on_step(f"{model}: exporting {items:,} items")
                with tempfile.TemporaryDirectory(prefix="rankline-bench-") as pushed:
                    known = _export(spec, graph, model, table, Path(pushed) / "model")
                    on_step(f"{model}: asking for {items:,} items")
                    found = _measured(spec, Path(pushed) / "model", columns, setting)
                result.catalogues.append(Catalogue(model, items, known >> 20, *found))
    return result


def _spec() -> FeatureSpec:
    """The feature spec of the Criteo format, as a ranking."""
    file = Path(schema.__file__).parent / "criteo" / "features.yaml"
    described = yaml.safe_load(file.read_text(encoding="utf-8"))
    names = [*NUMBERS, *IDS]
    of_items = [name for name in names if int(name[1:]) % 2 == 0]
    types: dict[str, ColumnType] = {**dict.fromkeys(NUMBERS, "float"), **dict.fromkeys(IDS, "string")}
    return FeatureSpec.model_validate(
        {
            "label": described["label"],
            "ranking": {"group": _USER, "item": _ITEM, "item_columns": of_items},
            "features": {_USER: {}, _ITEM: {"type": "categorical"}, **described["features"]},
            "crosses": described["crosses"],
        }
    ).resolve({"label": "float", _USER: "integer", _ITEM: "integer", **types})


def _columns(spec: FeatureSpec, generator: Generator, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Raw columns as plain tensors; each row has an item of its own."""
    drawn = generator.draw(rows, seed=1)
    numbers = dict(zip(NUMBERS, drawn.numbers.T.astype(np.float32), strict=True))
    ids = {name: _texts(hashed(drawn.ids[:, place], place)) for place, name in enumerate(IDS)}
    found = {_USER: np.arange(rows) % _USERS, _ITEM: np.arange(rows), **numbers, **ids}
    return {name: found[name] for name in spec.input_columns}


def _texts(values: pa.StringArray) -> npt.NDArray[np.object_]:
    """Texts as bytes, one object for all that are equal."""
    encoded = values.cast(pa.binary()).dictionary_encode()
    different: npt.NDArray[np.object_] = np.array(encoded.dictionary.to_pylist(), object)
    texts: npt.NDArray[np.object_] = different[encoded.indices.to_numpy()]
    return texts


def _transform_graph(spec: FeatureSpec, generator: Generator, folder: Path) -> tft.TFTransformOutput:
    columns = {**_columns(spec, generator, _ROWS), LABEL: np.zeros(_ROWS, np.float32)}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    dtypes = {name: column.dtype for name, column in raw_columns(spec).items()} | {LABEL: tf.float32}
    raw = {name: tf.io.FixedLenFeature([], dtype) for name, dtype in dtypes.items()}
    transform = functools.partial(preprocessing_fn, custom_config={"spec": spec.model_dump_json()})
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        graph = (rows, tft.DatasetMetadata.from_feature_spec(raw)) | tft_beam.AnalyzeDataset(transform)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    return tft.TFTransformOutput(str(folder / "graph"))


def _export(spec: FeatureSpec, graph: tft.TFTransformOutput, model: str, items: ItemTable, path: Path) -> int:
    """Exports an untrained model, and returns the bytes that it knows of its items."""
    params = TrainParams(model=model, embedding_width=_WIDTH)
    made = models.build(input_columns(spec, ids_of(spec, graph)), params, 1)
    served = ServedModel(made, Logistic(), spec, graph, items)
    served.save(str(path))
    keras.backend.clear_session()
    assert served.items is not None, "there is a context"
    return served.items.bytes


def _measured(
    spec: FeatureSpec, pushed: Path, columns: dict[str, npt.NDArray[Any]], setting: Setting
) -> tuple[int, int, list[Way]]:
    asked = _requests(spec, columns)
    with (
        tempfile.TemporaryDirectory(prefix="rankline-bench-") as folder,
        Served(_NAME, pushed, Path(folder)) as served,
        loaded(_NAME, pushed) as model,
    ):
        resident = served.mebibytes()
        served.forget_most()
        found = ways.measured(model, _NAME, spec, asked, served.call, setting.rounds, setting.seconds)
        return resident, served.most_mebibytes(), found


def _requests(spec: FeatureSpec, columns: dict[str, npt.NDArray[Any]]) -> list[bytes]:
    """Rankings of items drawn at random, each with a context of one row."""
    dice = np.random.default_rng(0)
    rows = len(columns[_ITEM])
    messages = []
    for context in dice.integers(rows, size=_REQUESTS):
        chosen = dice.choice(rows, _CANDIDATES, replace=rows < _CANDIDATES)
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = _NAME, RANK
        for name, values in columns.items():
            some: Array = values[chosen] if spec.side(name) == "item" else values[[context]]
            fill_content(request.inputs[name], some)
        messages.append(bytes(request.SerializeToString()))
    return messages


def tables(result: CatalogueBenchmark) -> Iterator[Table]:
    """Tables of all measurements."""
    shown = new_table(
        "Generated catalogues, one client",
        *("model", "items#", "way", "candidates#", "request bytes#", "in process ms#", "p50 ms#", "µs per item#"),
        "× first#",
    )
    for catalogue in result.catalogues:
        first = per_item_us(catalogue.ways[0], catalogue.items)
        for way in catalogue.ways:
            took = per_item_us(way, catalogue.items)
            add_row(
                shown,
                catalogue.model,
                f"{catalogue.items:,}",
                way.name,
                f"{way.candidates or catalogue.items:,}",
                f"{way.request_bytes:,}",
                f"{way.in_process_ms:.3f}",
                f"{way.p50_ms:.2f}",
                f"{took:.3f}",
                f"{first / took:.1f}",
            )
    yield shown
    shown = new_table("Memory", "model", "items#", "known MiB#", "loaded MiB#", "most MiB#")
    for each in result.catalogues:
        memory = each.known_mebibytes, each.loaded_mebibytes, each.most_mebibytes
        add_row(shown, each.model, f"{each.items:,}", *(f"{mebibytes:,}" for mebibytes in memory))
    yield shown


def per_item_us(way: Way, items: int) -> float:
    """The microseconds in process for each candidate."""
    return 1000 * way.in_process_ms / (way.candidates or items)
