"""Strategies that pick earlier models: the model to warm-start training from, and the baseline of the candidate."""

from __future__ import annotations

import logging
from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

from components.digests import is_intact
from components.properties import MODEL_PROPERTY, REFUSALS_PROPERTY, noted, splits_of
from components.trainer import EXAMPLES_PROPERTY, SPAN_PROPERTY
from schema.errors import RanklineError
from schema.split_record import overlap

_CANDIDATE = "candidate"
_INFRA_BLESSING = "infra_blessing"
_EXAMPLES = "examples"
_RAW_EXAMPLES = "raw_examples"

_log = logging.getLogger(__name__)


class _LatestIntactBlessedModelStrategy(LatestBlessedModelStrategy):  # type: ignore[misc]
    """Picks the latest blessed model whose files are unchanged since its training.

    For a `Resolver` with the channels `model` and `model_blessing`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Applies TFX's strategy to the models that qualify."""
        models = list(input_dict["model"])
        while True:
            resolved: dict[str, list[types.Artifact]] = super().resolve_artifacts(
                store, {**input_dict, "model": models}
            )
            if all(map(is_intact, resolved["model"])):
                return resolved
            (damaged,) = resolved["model"]
            _log.warning("the files in %s have changed since they were written; using an earlier model", damaged.uri)
            models.remove(damaged)


class LatestServedModelStrategy(_LatestIntactBlessedModelStrategy):
    """Picks the latest blessed model that the infra check has not refused.

    For a `Resolver` with the channels `model`, `model_blessing` and `infra_blessing`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Applies TFX's strategy to the models that qualify.

        Raises:
            RanklineError: there is none.
        """
        channels = dict(input_dict)
        refused = _beyond_limits(channels.pop(_INFRA_BLESSING))
        channels["model"] = [model for model in channels["model"] if model.id not in refused]
        resolved = super().resolve_artifacts(store, channels)
        if not resolved["model"]:
            raise RanklineError("refresh: expected a model that was blessed, found none; run `rankline run`")
        return {**resolved, _INFRA_BLESSING: []}


class LatestOtherBlessedModelStrategy(_LatestIntactBlessedModelStrategy):
    """Picks the latest blessed model other than the candidate that the infra check has not refused.

    With TFX's own strategy, a second run that trains nothing new would compare its model with itself. That evaluation
    is not in the cache, so this and all later components would run again and push the model once more. TFX's strategy
    also picks models that were never served because they are too large or too slow.

    For a `Resolver` with the channels `model`, `model_blessing`, `infra_blessing` and `candidate`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Applies TFX's strategy to the models that qualify."""
        channels = dict(input_dict)
        (candidate,) = channels.pop(_CANDIDATE)
        left_out = {candidate.id, *_beyond_limits(channels.pop(_INFRA_BLESSING))}
        channels["model"] = [model for model in channels["model"] if model.id not in left_out]
        resolved = super().resolve_artifacts(store, channels)
        return {**resolved, _INFRA_BLESSING: [], _CANDIDATE: []}


def _beyond_limits(infra_blessings: list[types.Artifact]) -> set[int]:
    """The ids of the models that the infra check has refused and never blessed; a pushed model stays a baseline."""
    refused, blessed = set(), set()
    for verdict in infra_blessings:
        model = verdict.get_int_custom_property(MODEL_PROPERTY)
        if verdict.get_int_custom_property("blessed"):
            blessed.add(model)
        elif noted(verdict, REFUSALS_PROPERTY):
            refused.add(model)
    return refused - blessed


class LatestBlessedModelOfOtherExamplesStrategy(_LatestIntactBlessedModelStrategy):
    """Picks the latest blessed model that was trained on other examples than this run's, and on an earlier span if any.

    With TFX's own strategy, a run for which nothing has changed would start from the model of the run before, and so
    train once more on the same rows. And a run for a past span would start from a model that has seen later rows, on
    which the new model is then judged.

    For a `Resolver` with the channels `model`, `model_blessing`, `examples` and `raw_examples`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Applies TFX's strategy to the models that qualify."""
        channels = dict(input_dict)
        (examples,) = channels.pop(_EXAMPLES)
        (raw_examples,) = channels.pop(_RAW_EXAMPLES)
        channels["model"] = [
            model
            for model in channels["model"]
            if _trained_on(model) not in ("", examples.uri)
            and _is_earlier(model, raw_examples)
            and not _has_seen_test_rows(model, raw_examples)
        ]
        resolved = super().resolve_artifacts(store, channels)
        return {**resolved, _EXAMPLES: [], _RAW_EXAMPLES: []}


def _is_earlier(model: types.Artifact, raw_examples: types.Artifact) -> bool:
    """Whether the model's span is earlier; true also if the model or the examples have no span."""
    return not raw_examples.span or model.get_int_custom_property(SPAN_PROPERTY) < raw_examples.span


def _has_seen_test_rows(model: types.Artifact, raw_examples: types.Artifact) -> bool:
    why = overlap(splits_of(model), splits_of(raw_examples))
    if why:
        _log.warning("not starting from %s, which may have been trained on rows of the test split: %s", model.uri, why)
    return bool(why)


def _trained_on(model: types.Artifact) -> str:
    """The URI of the model's examples; empty for older models without it, whose weights have no description either."""
    trained_on: str = model.get_string_custom_property(EXAMPLES_PROPERTY)
    return trained_on
