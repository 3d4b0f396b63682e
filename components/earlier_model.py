"""Which model a training begins with, where it is to begin with one."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

from components.trainer import EXAMPLES_PROPERTY

_EXAMPLES = "examples"


class LatestBlessedModelOfOtherExamplesStrategy(LatestBlessedModelStrategy):  # type: ignore[misc]
    """The latest blessed model that was trained on other examples than those at hand.

    With TFX's own strategy, a run for which nothing has changed would begin with the model of the run before, and so
    train once more on what that had seen already.

    For a `Resolver` with the channels `model`, `model_blessing` and `examples`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """As TFX's strategy, among the models that qualify."""
        channels = dict(input_dict)
        (examples,) = channels.pop(_EXAMPLES)
        channels["model"] = [model for model in channels["model"] if _trained_on(model) not in ("", examples.uri)]
        resolved: dict[str, list[types.Artifact]] = super().resolve_artifacts(store, channels)
        return {**resolved, _EXAMPLES: []}


def _trained_on(model: types.Artifact) -> str:
    """Empty for a model from before this was noted, of whose weights there is no description either."""
    trained_on: str = model.get_string_custom_property(EXAMPLES_PROPERTY)
    return trained_on
