"""Describes each component: the splits and hardware that it uses, and how its outputs add to the result of a run.

These descriptions must be readable without loading TFX, so a component's module is imported only when its outputs are
summarised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from components.properties import (
    CHECKED_PROPERTY,
    METRICS_PROPERTY,
    REFUSALS_PROPERTY,
    UNCHANGED_PROPERTY,
    UNJUDGED_PROPERTY,
    noted,
)
from components.report.document import PAGE_FILE
from components.run_result import RunResult
from schema.feature_spec import SPLITS, Split

Outputs: TypeAlias = Mapping[str, Any]
"""The output artifacts of a component, by key."""


def _nothing(result: RunResult, outputs: Outputs) -> None:
    pass


def _never(outputs: Outputs) -> bool:
    return False


@dataclass(frozen=True)
class ComponentDescription:
    """A component's properties, for code that runs, measures or places it."""

    splits: Sequence[Split] = ()
    """The splits that the component reads."""
    repeats: bool = False
    """Whether the component reads its splits repeatedly, not once."""
    beam: bool = False
    """Whether Beam runs the component."""
    gpu: bool = False
    """Whether the component benefits from a GPU, since it runs the model on many rows."""
    summarise: Callable[[RunResult, Outputs], None] = _nothing
    """The function that adds the component's outputs to the result of the run."""
    is_skipped: Callable[[Outputs], bool] = _never
    """The function that tells whether the component did nothing because the model was refused."""


def _example_gen(result: RunResult, outputs: Outputs) -> None:
    from components.example_gen import read_summary

    result.rows = {split: counts["rows"] for split, counts in read_summary(outputs["examples"].uri).items()}


def _tuner(result: RunResult, outputs: Outputs) -> None:
    from components.tuner import best_of

    result.tuned = best_of(outputs["best_hyperparameters"])


def _history(model: Any) -> Mapping[str, Any]:
    from trainer.task import HISTORY_FILE

    history: Mapping[str, Any] = json.loads((Path(model.uri) / HISTORY_FILE).read_text())
    return history


def _trainer(result: RunResult, outputs: Outputs) -> None:
    history = _history(outputs["model"])
    if warm_start := history["warm_start"]:
        result.ids, result.known_ids = warm_start["all_rows"], warm_start["rows"]
    result.known = history["known"]


def _refresher(result: RunResult, outputs: Outputs) -> None:
    result.known = _history(outputs["refreshed"])["known"]


def _evaluator(result: RunResult, outputs: Outputs) -> None:
    evaluation = outputs["evaluation"]
    result.metrics = json.loads(evaluation.get_string_custom_property(METRICS_PROPERTY))
    result.refusals += noted(evaluation, REFUSALS_PROPERTY)
    result.unjudged = noted(evaluation, UNJUDGED_PROPERTY)


def _infra_check(result: RunResult, outputs: Outputs) -> None:
    result.refusals += noted(outputs["blessing"], REFUSALS_PROPERTY)


def _is_unchecked(outputs: Outputs) -> bool:
    """Whether the infra check started no server. It does start one for a refused model if there are limits."""
    return not outputs["blessing"].get_int_custom_property(CHECKED_PROPERTY)


def _pusher(result: RunResult, outputs: Outputs) -> None:
    pushed = outputs["pushed_model"]
    if not _is_unpushed(outputs):
        result.pushed = pushed.get_string_custom_property("pushed_destination")
        if pushed.get_int_custom_property(UNCHANGED_PROPERTY):
            result.unchanged.append("Pusher")


def _is_unpushed(outputs: Outputs) -> bool:
    return not outputs["pushed_model"].get_int_custom_property("pushed")


def _report(result: RunResult, outputs: Outputs) -> None:
    result.report = os.path.join(outputs["report"].uri, PAGE_FILE)


DESCRIPTIONS: Mapping[str, ComponentDescription] = {
    "ExampleGen": ComponentDescription(splits=SPLITS, beam=True, summarise=_example_gen),
    "StatisticsGen": ComponentDescription(splits=SPLITS, beam=True),
    "SchemaGen": ComponentDescription(),
    "ExampleValidator": ComponentDescription(),
    "DriftValidator": ComponentDescription(beam=True),
    "Transform": ComponentDescription(splits=("train", "eval"), beam=True),
    "Tuner": ComponentDescription(splits=("train",), repeats=True, gpu=True, summarise=_tuner),
    "EarlierModel": ComponentDescription(),
    "Trainer": ComponentDescription(splits=("train",), repeats=True, gpu=True, summarise=_trainer),
    "LatestBlessedModel": ComponentDescription(),
    "Refresher": ComponentDescription(summarise=_refresher),
    "Evaluator": ComponentDescription(splits=("test",), beam=True, gpu=True, summarise=_evaluator),
    "InfraCheck": ComponentDescription(summarise=_infra_check, is_skipped=_is_unchecked),
    "Pusher": ComponentDescription(summarise=_pusher, is_skipped=_is_unpushed),
    "Report": ComponentDescription(summarise=_report),
}
"""The descriptions, by the component's name in the chain."""
