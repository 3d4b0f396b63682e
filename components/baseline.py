"""Which model a candidate has to be compared with."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

_CANDIDATE = "candidate"


class LatestOtherBlessedModelStrategy(LatestBlessedModelStrategy):  # type: ignore[misc]
    """The latest blessed model that is not the candidate itself.

    TFX's own strategy gives a second run, which trains nothing new, its model as the one to compare it with: an
    evaluation that was never made, so that everything from there on would run again and push the model once more.

    For a `Resolver` with the channels `model`, `model_blessing` and `candidate`.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """As TFX's strategy, among all models but the candidate."""
        channels = dict(input_dict)
        ids = {model.id for model in channels.pop(_CANDIDATE)}
        channels["model"] = [model for model in channels["model"] if model.id not in ids]
        resolved: dict[str, list[types.Artifact]] = super().resolve_artifacts(store, channels)
        return {**resolved, _CANDIDATE: []}
