"""What a run is configured with: one YAML file, overridden by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from components.thresholds import Threshold
from trainer.params import TrainParams

DEFAULT_THRESHOLDS: Mapping[str, Threshold] = {
    # A model that orders no better than a coin, or whose loss is past that of always saying "1 in 2", is broken.
    "auc": Threshold(min=0.55, max_drop=0.01),
    "logloss": Threshold(max=0.6931, max_drop=0.02),
    "calibration": Threshold(min=0.7, max=1.4),
}


class RunConfig(BaseModel):
    """A run of the pipeline. Every field is a key of the file given as `rankline run --config`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = "movielens"
    """A name from `rankline datasets`, or the path of a folder with a `features.yaml`."""
    root: Path = Path("runs")
    """Where metadata, artifacts, logs and pushed models of all runs are kept."""
    train: TrainParams = TrainParams()
    thresholds: Mapping[str, Threshold] = Field(default_factory=lambda: dict(DEFAULT_THRESHOLDS))
    """Metric -> when a model is refused."""
    infra_check_rows: Annotated[int, Field(ge=1)] = 1000
    """On so many rows of the test split the served predictions must equal the in-process ones."""
    beam: tuple[str, ...] = ()
    """Beam pipeline options, such as `--direct_num_workers=2`."""
    cache: bool = True
    """Reuse the results of components whose inputs and code are unchanged."""
