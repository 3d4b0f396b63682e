"""What a run is configured with: one YAML file, overridden by the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from components.evaluation.metrics.registry import METRICS
from components.evaluation.thresholds import DEFAULT_THRESHOLDS, GateParams, Limits, Threshold
from components.model_servers import EMBEDDED
from pipeline.config.beam import BeamRunner, Direct
from pipeline.config.kubeflow import Kubeflow
from pipeline.config.metadata import MetadataStore, Sqlite
from pipeline.config.spans import SpanParams
from pipeline.config.vertex import Vertex
from schema.dataset import spec_path
from schema.errors import SpecError, listing, nearest
from schema.mistakes import mistakes_of, read_yaml
from trainer.params import TrainParams
from trainer.search_space import SearchParams

DATASET_FILE = "run.yaml"
"""Beside a dataset's `features.yaml`: the configuration that suits it."""


class RunConfig(BaseModel):
    """A run of the pipeline. Every field is a key of the file that `rankline run --config` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = "movielens"
    """A name from `rankline datasets`, or the path of a folder with a `features.yaml`."""
    root: Path = Path("runs")
    """The folder for metadata, artifacts, logs and pushed models of all runs."""
    spans: SpanParams = SpanParams()
    """The spans that a run reads, for data that comes in spans."""
    train: TrainParams = TrainParams()
    """The model and the parameters of its training."""
    models: Mapping[str, TrainParams] = {}
    """The keys of `train` that differ for a model, by the model's name."""
    tune: SearchParams | None = None
    """A search for better values of some keys of `train`, before training with the best. Without it nothing is
    searched."""
    thresholds: Mapping[str, Threshold] = Field(default_factory=lambda: dict(DEFAULT_THRESHOLDS))
    """The bounds that a model must keep, by metric, see [Metrics](metrics.md). Bounds that are not given keep their
    default; `null` removes all bounds, of one metric or of all."""
    gate: GateParams = GateParams()
    """The rows that it takes to judge a model, and the verdict where there are fewer."""
    limits: Limits = Limits()
    """The limits on latency and size of a served model."""
    served_items: NonNegativeInt = 1_000_000
    """The largest number of items that a served model of a ranking knows by their ids. If the dataset has more, or with
    0, the model has no signatures `rank_ids` and `recommend`."""
    served_contexts: NonNegativeInt = 100_000
    """The largest number of groups of a ranking (users, say) whose latest context such a model knows, so that a request
    may name only the group. If the dataset has more, or with 0, requests must have all columns of the context."""
    refresh: bool = False
    """Whether a run takes the newest items and contexts into the latest blessed model, and trains none."""
    infra_check_rows: Annotated[int, Field(ge=1)] = 1000
    """The number of test rows on which served and in-process predictions must be equal."""
    infra_check_server: str = EMBEDDED
    """The server of the infra check: `embedded`, the path of a `tensorflow_model_server`, or `docker:` and an image of
    it such as `docker:tensorflow/serving:2.20.0`. The environment variable `TF_SERVING_BIN`, a path, overrides it."""
    metadata: MetadataStore = Sqlite()
    """The store of ML Metadata."""
    beam: BeamRunner = Direct()
    """The engine of the components' Beam pipelines."""
    cache: bool = True
    """Whether a run reuses the results of components whose inputs, configuration and code are unchanged."""
    kubeflow: Kubeflow | None = None
    """The image, volumes and resources of pods on a Kubeflow cluster, for `rankline compile`."""
    vertex: Vertex | None = None
    """The image and root of a Vertex AI job, for `rankline compile --target vertex`."""

    def as_file(self) -> str:
        """JSON that, as a run's file, gives the same run again.

        What `models` says of the model is in `train` already; said again, with its defaults, it would go before that.
        """
        return self.model_dump_json(exclude={"models"})

    @field_serializer("thresholds")
    def _null_for_none(self, value: Mapping[str, Threshold]) -> Mapping[str, Threshold] | None:
        return value or None

    @field_validator("thresholds", mode="before")
    @classmethod
    def _over_defaults(cls, value: object) -> object:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return value
        defaults = {name: threshold.model_dump() for name, threshold in DEFAULT_THRESHOLDS.items()}
        given = {
            name: {**defaults.get(name, {}), **bounds} if isinstance(bounds, Mapping) else bounds or {}
            for name, bounds in value.items()
        }
        return {**defaults, **given}

    @field_validator("thresholds")
    @classmethod
    def _of_metrics(cls, value: Mapping[str, Threshold]) -> Mapping[str, Threshold]:
        for name, threshold in value.items():
            if name not in METRICS:
                raise ValueError(f"expected one of {listing(METRICS)}, received {name!r}{nearest(name, METRICS)}")
            for bounds in (threshold, *threshold.slices.values()):
                if METRICS[name].better == "neither" and bounds.max_drop is not None:
                    raise ValueError(f"expected min and max for {name}, which is best at 1, received max_drop")
        return value

    @model_validator(mode="after")
    def _tunable(self) -> Self:
        if self.tune and (problems := self.tune.problems(self.train)):
            raise ValueError("\n".join(f"tune.space: {problem}" for problem in problems))
        return self


def load(path: Path | None, options: Mapping[str, object], settings: Sequence[str]) -> RunConfig:
    """A configuration from a file (None for the defaults), overridden by options and settings: see `resolve`."""
    return resolve(read_yaml(path) if path else {}, options, settings, str(path) if path else "configuration")


def resolve(given: Mapping[str, Any], options: Mapping[str, object], settings: Sequence[str], where: str) -> RunConfig:
    """A configuration from what a file holds, overridden by options, overridden by settings.

    What is given nowhere is as in the `run.yaml` beside the dataset's `features.yaml`, if there is one.

    Args:
        given: nested, with `RunConfig`'s keys.
        options: dotted key -> value, as `train.model`; None where an option was not given.
        settings: `key=value` with a dotted key and a YAML value.
        where: how errors name the file.

    Raises:
        SpecError: with one line per mistake, naming file, key, what was expected and what was received; or there is
            no such dataset.
    """
    explicit = _explicit(options, settings)
    dataset = _merged(given, explicit).get("dataset") or RunConfig.model_fields["dataset"].default
    of_dataset = spec_path(str(dataset)).parent / DATASET_FILE
    layers = [read_yaml(of_dataset) if of_dataset.is_file() else {}, given, explicit]
    content: dict[str, Any] = {}
    for layer in layers:
        content = _merged(content, layer)
    chosen = str(_at(content, "train", "model") or TrainParams().model)
    content = {}
    for layer in layers:
        # In one file what is said of a model is more particular than what is said of all.
        of_model = _at(layer, "models", chosen)
        content = _merged(_merged(content, layer), {"train": of_model} if isinstance(of_model, Mapping) else {})
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise SpecError("\n".join(f"{where}: {line}" for line in mistakes_of(error, RunConfig))) from None


def _explicit(options: Mapping[str, object], settings: Sequence[str]) -> Mapping[str, Any]:
    """What was said on the command line, nested as in a file."""
    content: dict[str, Any] = {}
    for key, value in options.items():
        if value is not None:
            _put(content, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise SpecError(f"--set: expected KEY=VALUE such as train.epochs=3, received {setting!r}")
        try:
            _put(content, key, yaml.safe_load(text))
        except yaml.YAMLError:
            raise SpecError(f"--set: {key}: expected a YAML value such as 3 or [64, 32], received {text!r}") from None
    return content


def _put(content: dict[str, Any], key: str, value: object) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        inner = content.get(parent)
        content[parent] = inner = dict(inner) if isinstance(inner, Mapping) else {}
        content = inner
    content[name] = value


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` says instead, key by key at any depth.

    Where both name a thing, such as an optimizer, and not the same, nothing of the other one's is kept.
    """
    if base.get("name", over.get("name")) != over.get("name", base.get("name")):
        return dict(over)
    both = {
        key: _merged(base[key], value) if isinstance(base.get(key), Mapping) and isinstance(value, Mapping) else value
        for key, value in over.items()
    }
    return {**base, **both}


def _at(content: Mapping[str, Any], *keys: str) -> Any:
    """What is found at nested keys, or None."""
    found: Any = content
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
