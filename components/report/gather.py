"""Gathers the report's facts from the outputs of the other components."""

from __future__ import annotations

import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import tensorflow as tf
import yaml

from components import infra_check
from components.evaluation import bootstrap, gate, intervals, results, rows
from components.evaluation.tfma_config import computed
from components.evaluation.verdict import Gate
from components.report import comparison, curves, data, explanation, items, memory, ranking, vocabularies, worst
from components.report.document import Epoch, Made, Origin, Report, Served, Training, Verdict
from components.report.model import Looked, Model
from schema.feature_spec import SPLITS, FeatureSpec

_OUTCOMES = ("broken", "within noise", "kept", "not judged")
_LIBRARIES = ("rankline", "tfx", "tensorflow", "tensorflow-transform", "keras", "apache-beam")


@dataclass(frozen=True)
class ReportedRun:
    """The inputs of a report on a run of the pipeline.

    Attributes:
        run_id: the run's name.
        spec: the resolved feature spec.
        config: the run's configuration, a dump of `pipeline.config.run.RunConfig`.
        files: the dataset's files, as `components.example_gen.fingerprinted` returns them.
        code: a digest of Rankline's sources.
        span: the last span of the data; empty for data without spans.
        warnings: problems in the data that did not stop the run.
        folders: the folders of the artifacts `examples`, `statistics`, `schema`, `transform_graph`, `model`,
            `evaluation`, `infra_blessing`, and, for data in spans, `drift`, the anomalies between spans.
        blessed: whether the model has kept all conditions.
        refusals: the reasons why the model was refused.
        pushed: the folder of the pushed version; None if the model was refused.
        unchanged: whether the model was already the newest version.
        artifacts: the artifacts of the run.
    """

    run_id: str
    spec: FeatureSpec
    config: Mapping[str, Any]
    files: Mapping[str, Any]
    code: str
    span: str
    warnings: Sequence[str]
    folders: Mapping[str, str]
    blessed: bool
    refusals: Sequence[str]
    pushed: str | None
    unchanged: bool
    artifacts: Sequence[Made]


def gather(run: ReportedRun) -> Report:
    """Reads the artifacts of a run, and computes the report's facts."""
    spec, folders = run.spec, run.folders
    found = results.read(folders["evaluation"])
    kept = rows.read(folders["evaluation"], spec)
    counted = bootstrap.counts(kept)
    model = Model(folders["model"], folders["transform_graph"], spec)
    looked = model.look(kept) if model.is_told_apart else Looked({}, {}, 0.0)
    neighbours, item_map = (
        items.items(model, spec, items.titles(kept, spec)) if spec.ranking and looked.parts else ([], None)
    )
    verdict = gate.read(folders["evaluation"])
    served, of_limits = _served(folders["infra_blessing"])
    names = computed(spec)
    slices, more_slices = intervals.slices(names, kept, counted, found)
    return Report(
        run_id=run.run_id,
        dataset=spec.name,
        description=spec.description,
        model=run.config["train"]["model"],
        label=spec.label.kind,
        unit=spec.ranking.group if spec.ranking else "rows",
        kept_rows=len(kept),
        verdict=Verdict(
            blessed=run.blessed,
            refusals=run.refusals,
            unjudged=verdict.unjudged,
            conditions=sorted(
                (*verdict.conditions, *of_limits.conditions), key=lambda each: _OUTCOMES.index(each.outcome)
            ),
            remarks=gate.told(verdict),
            pushed=run.pushed,
            unchanged=run.unchanged,
        ),
        served=served,
        splits=data.splits(folders["examples"], spec),
        columns=data.columns(folders["statistics"], folders["schema"], spec, SPLITS, folders.get("drift")),
        span=run.span,
        warnings=run.warnings,
        metrics=intervals.metrics(names, kept, counted, found[()]),
        slices=slices,
        more_slices=more_slices,
        comparison=comparison.comparison(kept, slices) if kept.baseline else None,
        curves=curves.curves(kept, counted),
        vocabularies=vocabularies.vocabularies(model, spec, looked.ids),
        training=_training(model.history),
        ranking=ranking.ranking(kept, counted, spec, model.shares_of_training)
        if spec.ranking and kept.kind == "binary"
        else None,
        familiarity=memory.familiarity(kept, counted, model, spec, looked),
        parts=memory.parts(kept, looked),
        weights=memory.weights(model, spec) if looked.parts else [],
        explanation=explanation.of_typical_list(model, spec, kept)
        if spec.ranking and kept.kind == "binary" and model.is_attributable
        else None,
        neighbours=neighbours,
        map=item_map,
        errors=worst.errors(kept, spec),
        origin=_origin(run),
    )


def _training(history: Mapping[str, Any]) -> Training:
    return Training(
        parameters=history["parameters"],
        rows=history["train_rows"],
        best_epoch=history["best_epoch"],
        seconds=sum(epoch["seconds"] for epoch in history["epochs"]),
        epochs=[
            Epoch(loss=epoch["loss"], eval_loss=epoch["eval_loss"], eval_auc=epoch["eval_auc"])
            for epoch in history["epochs"]
        ],
    )


def _served(folder: str) -> tuple[Served | None, Gate]:
    """The results of the infra check, if a server was started, and the conditions of its limits."""
    with tf.io.gfile.GFile(os.path.join(folder, infra_check.REPORT_FILE)) as file:
        found = json.loads(file.read())
    of_limits = Gate.model_validate(found.pop("gate"))
    return Served(**found) if found.pop("checked") else None, of_limits


def _origin(run: ReportedRun) -> Origin:
    return Origin(
        artifacts=run.artifacts,
        spec=run.spec.model_dump_json(),
        config=yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True),
        command=shlex.join(["rankline", "run", "--config", "run.yaml"]),
        data_digest=run.files["digest"],
        code=run.code,
        versions={"python": platform.python_version()} | {name: metadata.version(name) for name in _LIBRARIES},
    )
