"""`rankline explain`: the reasons for a user's (or query's) list, from the model of a run, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
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
from schema.catalogue import Catalogue, catalogue
from schema.dataset import Dataset
from schema.errors import RanklineError, listing, nearest
from schema.lists import as_lists

_SHOWN = 12


def explain_ranking(
    dataset: Dataset,
    metadata: ConnectionConfig,
    group: str,
    items: Sequence[str] = (),
    top: int = explanation.TOP,
    run_id: str | None = None,
) -> ExplainedRanking:
    """Explains items of a group's list.

    Args:
        dataset: a dataset with a ranking.
        metadata: the connection to ML Metadata, which knows the runs.
        group: a value of the ranking group's column.
        items: the items to explain, even if the group has seen them; if empty, the best that it has not seen.
        top: the number of items if `items` is empty.
        run_id: the run whose model is explained; None is the latest run whose model was blessed.

    Raises:
        RanklineError: the data does not contain the group or an item, there is no such run, its model cannot be taken
            apart, or the dataset's description has changed since the run.
        SpecError: the dataset has no ranking.
    """
    known = catalogue(dataset)
    candidates, chosen = _candidates(known, dataset, group, items)
    run = trained(metadata, dataset.name, run_id)
    if run.spec.input_columns != dataset.spec.input_columns:
        raise RanklineError(
            f"{dataset.folder / 'features.yaml'}: expected the features that the model of run {run.run_id} was trained "
            "with, received others; `rankline run` trains one with these"
        )
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
    examples = _examples(known, candidates, group)
    answers = _answers(run, examples)
    return ExplainedRanking(
        run_id=run.run_id,
        dataset=dataset.name,
        model=run.name,
        explanation=explanation.explain(
            model,
            run.spec,
            rows.read(run.evaluation, run.spec),
            examples,
            answers,
            chosen or None,
            top=top,
        ),
    )


def _candidates(known: Catalogue, dataset: Dataset, group: str, items: Sequence[str]) -> tuple[pa.Table, list[int]]:
    """The items that are ranked for a group, and the rows of the requested ones among them."""
    assert dataset.spec.ranking is not None, "catalogue() refuses datasets without"
    name = dataset.spec.ranking.item
    all_items = [str(item) for item in known.items[name].to_pylist()]
    for item in items:
        if item not in all_items:
            raise RanklineError(
                f"{name}: expected one of the data's {len(all_items):,}, such as {listing(all_items[-5:])}, received "
                f"{item!r}{nearest(item, all_items)}"
            )
    unseen = known.unseen(group)
    ranked = {str(item) for item in unseen[name].to_pylist()} or set(all_items)
    ranked |= set(items)
    candidates = known.items.filter(pa.array([item in ranked for item in all_items]))
    places = {str(item): place for place, item in enumerate(candidates[name].to_pylist())}
    return candidates, [places[item] for item in dict.fromkeys(items)]


def _examples(known: Catalogue, candidates: pa.Table, group: str) -> list[bytes]:
    """A serialized example for each candidate."""
    context = known.context(group)
    columns = {name: column.combine_chunks() for name, column in zip(candidates.schema.names, candidates, strict=True)}
    for field in known.contexts.schema:
        columns[field.name] = pa.array([context[field.name]] * len(candidates), field.type)
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
