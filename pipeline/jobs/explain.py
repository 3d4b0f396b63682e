"""`rankline explain`: the reasons for a user's (or query's) list, from the model of a run, without a server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig
from rich.markup import escape
from rich.table import Table
from tfx.utils import path_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.evaluation import rows
from components.evaluation.answers import Floats
from components.report import explanation
from components.report.document import Explained, ExplainedRanking, Explanation
from components.report.model import Model
from pipeline.run.history import TrainedModel, trained
from pipeline.terminal.tables import add_row, new_table
from schema.answers import RANKED_BY
from schema.catalogue import catalogue
from schema.dataset import Dataset, find, served_name
from schema.errors import RanklineError, SpecError, listing, nearest
from schema.latest import CONTEXTS_FILE, ITEMS_FILE
from schema.lists import as_lists
from trainer.item_table import read_table

_SHOWN = 12


@dataclass(frozen=True)
class _Asked:
    """What is explained.

    Attributes:
        items: the items that are ranked: their ids, the columns that describe them, and their titles.
        context: the other columns that the model sees, of one row.
        chosen: the rows of the requested items.
    """

    items: pa.Table
    context: pa.Table
    chosen: Sequence[int]


def explain_ranking(
    dataset: str | Dataset,
    metadata: ConnectionConfig,
    group: str,
    items: Sequence[str] = (),
    top: int = explanation.TOP,
    run_id: str | None = None,
    features: bool = False,
) -> ExplainedRanking:
    """Explains items of a group's list, by the items and contexts that the run has found.

    Args:
        dataset: a dataset with a ranking, or its name.
        metadata: the connection to ML Metadata, which knows the runs.
        group: a value of the ranking group's column.
        items: the items to explain; if empty, the best.
        top: the number of items if `items` is empty.
        run_id: the run whose model is explained; None is the latest run whose model was blessed.
        features: whether to read items and contexts from the dataset's files, and to leave out items that the group has
            seen in them unless they are in `items`.

    Raises:
        RanklineError: the data does not contain the group or an item, there is no such run, its model cannot be taken
            apart, the run has found no contexts, or the dataset's description has changed since the run.
        SpecError: the dataset has no ranking.
    """
    run = trained(metadata, dataset.name if isinstance(dataset, Dataset) else served_name(dataset), run_id)
    if features:
        asked = _of_files(dataset if isinstance(dataset, Dataset) else find(dataset), run, group, items)
    else:
        asked = _of_run(run, group, items)
    if not Path(run.model).is_dir():
        raise RanklineError(
            f"{run.model}: expected the model of run {run.run_id}, found none; `rankline run` makes one"
        )
    model = Model(run.model, run.transform_graph, run.spec)
    if not model.is_attributable:
        raise RanklineError(
            f"run {run.run_id}: expected a model whose logit is a sum over features, received {run.name}, which "
            + (
                "has a logit for each class"
                if run.spec.label.kind == "classes"
                else "is counted, not trained; --run chooses another run"
            )
        )
    examples = _examples(asked)
    answers = _answers(run, examples)
    return ExplainedRanking(
        run_id=run.run_id,
        dataset=run.dataset,
        model=run.name,
        explanation=explanation.explain(
            model,
            run.spec,
            rows.read(run.evaluation, run.spec),
            examples,
            answers,
            asked.chosen or None,
            top=top,
        ),
    )


def _of_run(run: TrainedModel, group: str, items: Sequence[str]) -> _Asked:
    """All items, by the run's examples."""
    ranking = run.spec.ranking
    if ranking is None:
        raise SpecError(f"{run.dataset}: ranking: expected a group and an item, received none")
    known, contexts = (read_table(os.path.join(run.examples, name)) for name in (ITEMS_FILE, CONTEXTS_FILE))
    if known is None or contexts is None:
        raise RanklineError(
            f"run {run.run_id}: expected items and the latest contexts (served_contexts), found none; --features reads "
            "the dataset's files"
        )
    groups = contexts[ranking.group].cast(pa.string()).combine_chunks()
    row = pc.index(groups, group).as_py()
    if row < 0:
        raise RanklineError(
            f"{ranking.group}: expected one of the data's {len(groups):,}, such as {listing(groups[-5:].to_pylist())}, "
            f"received {group!r}"
        )
    return _Asked(known, contexts.slice(row, 1), _chosen(known[ranking.item], items))


def _of_files(dataset: Dataset, run: TrainedModel, group: str, items: Sequence[str]) -> _Asked:
    """The requested items, and those that the group has not seen in the dataset's files."""
    known = catalogue(dataset)
    if run.spec.input_columns != dataset.spec.input_columns:
        raise RanklineError(
            f"{dataset.folder / 'features.yaml'}: expected the features that the model of run {run.run_id} was trained "
            "with, received others; `rankline run` trains one with these"
        )
    assert dataset.spec.ranking is not None, "catalogue() refuses datasets without"
    name = dataset.spec.ranking.item
    _chosen(known.items[name], items)
    all_items = [str(item) for item in known.items[name].to_pylist()]
    ranked = {str(item) for item in known.unseen(group)[name].to_pylist()} or set(all_items)
    candidates = known.items.filter(pa.array([item in ranked or item in items for item in all_items]))
    context = pa.Table.from_pylist([known.context(group)], known.contexts.schema)
    return _Asked(candidates, context, _chosen(candidates[name], items))


def _chosen(column: pa.ChunkedArray, items: Sequence[str]) -> list[int]:
    """The rows of items in the column of their ids."""
    places = {str(item): place for place, item in enumerate(column.to_pylist())}
    for item in items:
        if item not in places:
            raise RanklineError(
                f"--item: expected one of the data's {len(places):,}, such as {listing(list(places)[-5:])}, received "
                f"{item!r}{nearest(item, places)}"
            )
    return [places[item] for item in dict.fromkeys(items)]


def _examples(asked: _Asked) -> list[bytes]:
    """A serialized example for each item."""
    columns = {name: asked.items[name].combine_chunks() for name in asked.items.column_names}
    for field in asked.context.schema:
        columns[field.name] = pa.array(asked.context[field.name].to_pylist() * len(asked.items), field.type)
    encoded: list[bytes] = RecordBatchToExamplesEncoder().encode(as_lists(pa.RecordBatch.from_pydict(columns)))
    return encoded


def _answers(run: TrainedModel, examples: Sequence[bytes]) -> Floats:
    """The answers of the served model, calibration included."""
    served = tf.saved_model.load(path_utils.serving_model_path(run.model)).signatures["serving_default"]
    answers: Floats = served(tf.constant(examples))[RANKED_BY[run.spec.label.kind]].numpy().astype(np.float64)
    return answers


def tables(ranking: ExplainedRanking) -> Iterator[Table]:
    """A table for each item, with its largest contributions and their sum."""
    for item in ranking.explanation.items:
        yield _table(item, ranking.explanation)


def _table(item: Explained, whole: Explanation) -> Table:
    answer = "score" if whole.label == "binary" else "prediction"
    headings = "part", "column or cross", "value", "rows in training#", "weight#", "contribution#"
    made = new_table(f"{item.place}. {item.title}: {answer} {item.answer:.3f}", *headings)
    moving = [each for each in item.contributions if each.contribution]
    for each in moving[:_SHOWN]:
        rows = "" if each.rows is None else f"{each.rows:,}" if each.rows else "never"
        weight = "" if each.weight is None else f"{each.weight:+.3f}"
        add_row(made, each.part, each.what, each.value, rows, weight, f"{each.contribution:+.3f}")
    if rest := moving[_SHOWN:]:
        add_row(made, "", f"{len(rest)} more", "", "", "", f"{sum(each.contribution for each in rest):+.3f}")
    made.caption = escape("\n".join(_sums(item, whole)))
    return made


def _sums(item: Explained, whole: Explanation) -> Iterator[str]:
    """The sum of the contributions, line by line."""
    parts = [f"{part.name} {part.logit:+.3f}" for part in item.parts]
    yield f"logit {item.logit:+.3f} = {', '.join([f'bias {item.bias:+.3f}', *parts])}"
    if item.calibrated is not None:
        yield f"calibrated ({whole.calibration}): {item.calibrated:+.3f}"
    for part in item.parts:
        if part.steps:
            columns = part.logit - part.baseline - part.gap
            yield (
                f"{part.name}: {part.baseline:+.3f} for an average row, {columns:+.3f} by columns, "
                f"{part.gap:+.4f} left over by integrated gradients of {part.steps} steps"
            )
