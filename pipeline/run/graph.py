"""The chain of components: the only place that knows their order."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, transform_pb2
from tfx.types import Channel
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing

from components import model_servers
from components.drift_validator import DriftValidator
from components.evaluation.thresholds import applicable
from components.evaluator import Evaluator
from components.example_gen import ExampleGen, fingerprinted
from components.example_validator import ExampleValidator
from components.infra_check import InfraCheck
from components.pusher import Pusher
from components.report.component import Report
from components.resolvers import LatestBlessedModelOfOtherExamplesStrategy, LatestOtherBlessedModelStrategy
from components.schema_gen import SchemaGen, read_given
from components.statistics_gen import StatisticsGen
from components.trainer import Trainer
from components.transform import Transform
from components.tuner import tuner
from pipeline.config.run import RunConfig
from pipeline.run.layout import Layout
from pipeline.run.metadata import connection
from pipeline.run.spans import SpanParams
from schema.dataset import Dataset
from schema.errors import SpecError, listing, nearest
from schema.reader import arrow_schema
from trainer import models

_SOURCES = Path(__file__).parent.parent


def create_pipeline(config: RunConfig, dataset: Dataset, with_own_resolvers: bool = True) -> Pipeline:
    """The pipeline that turns a dataset's rows into a served model.

    Args:
        config: how to run it.
        dataset: what to run it on; its spec is resolved.
        with_own_resolvers: False for a platform that only knows TFX's. A run for which nothing has changed is then
            compared with its own model.

    Raises:
        RanklineError: there is no Flink cluster where one is to be used.
        SpecError: there is no such model, the dataset's `schema.pbtxt` is none, or the root is no path for TFX.
        ModelServerError: there is no such model server.
    """
    for name in (config.train.model, *config.models):
        models.check(name)
    if config.train.calibration != "none" and dataset.spec.label.kind != "binary":
        raise SpecError(
            f"train.calibration: expected 'none' for a label that has not two classes, received "
            f"{config.train.calibration!r}"
        )
    layout = Layout(config.root.resolve(), dataset.name)
    if any(letter in str(layout.root) for letter in "*?["):
        raise SpecError(f"root: expected a path without * ? [, by which TFX tells patterns, received {layout.root}")
    spec = dataset.spec.model_dump_json()

    in_span = {"span": dataset.window[-1], "span_name": dataset.spans.name(dataset.window[-1])} if dataset.spans else {}
    example_gen = ExampleGen(
        spec=spec,
        files=fingerprinted(dataset),
        remarks=json.dumps(dataset.remarks),
        code=code_version("schema", "components/example_gen.py"),
        **in_span,
    )
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(examples=examples)
    schema = SchemaGen(
        statistics=statistics.outputs["statistics"],
        spec=spec,
        given=read_given(dataset.schema_path) if dataset.schema_path else "",
    )
    validators = [ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])]
    if dataset.spans:
        validators.append(_drift_validator(dataset, config.spans, schema.outputs["schema"]))
        validators[-1].add_upstream_node(validators[0])
    transform = Transform(
        examples=examples,
        schema=schema.outputs["schema"],
        preprocessing_fn="trainer.preprocessing.preprocessing_fn",
        # The test split is for the Evaluator, which reads raw examples.
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "spec": spec,
            "code": code_version(
                "schema",
                "trainer/preprocessing.py",
                "trainer/vocabulary.py",
                "components/transform.py",
                "components/example_batches.py",
            ),
        },
    )
    # Nothing may be trained on data that failed its validation.
    transform.add_upstream_node(validators[-1])
    transformed = transform.outputs["transformed_examples"]
    training = {
        "spec": spec,
        "params": config.train.model_dump_json(),
        "work_dir": str(layout.work),
        "code": code_version("schema", "trainer"),
    }
    before_training: list[BaseNode] = []
    search, earlier = None, None
    if config.tune:
        search = tuner(
            transformed, transform.outputs["transform_graph"], training | {"search": config.tune.model_dump_json()}
        )
        before_training.append(search)
    if config.train.warm_start:
        earlier = Resolver(
            strategy_class=LatestBlessedModelOfOtherExamplesStrategy,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
            examples=transformed,
            raw_examples=examples,
        ).with_id("EarlierModel")
        before_training.append(earlier)
    trainer = Trainer(
        examples=transformed,
        raw_examples=examples,
        transform_graph=transform.outputs["transform_graph"],
        custom_config=training,
        base_model=earlier.outputs["model"] if earlier else None,
        hyperparameters=search.outputs["best_hyperparameters"] if search else None,
    )
    blessed = Resolver(
        strategy_class=LatestOtherBlessedModelStrategy if with_own_resolvers else LatestBlessedModelStrategy,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        **(
            {"infra_blessing": Channel(type=InfraBlessing), "candidate": trainer.outputs["model"]}
            if with_own_resolvers
            else {}
        ),
    ).with_id("LatestBlessedModel")
    evaluator = Evaluator(
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=blessed.outputs["model"],
        schema=schema.outputs["schema"],
        spec=dataset.spec,
        thresholds=applicable(config.thresholds, dataset.spec),
        params=config.gate,
        split="test",
        code=code_version(
            "components/evaluator.py",
            "components/evaluation/tfma_config.py",
            "components/evaluation/gate.py",
            "components/evaluation/metrics/names.py",
            "components/evaluation/baseline.py",
            "components/evaluation/results.py",
            "components/evaluation/intervals.py",
            "components/evaluation/bootstrap.py",
            "components/evaluation/rows.py",
            "components/evaluation/evaluated_rows.py",
            "components/example_batches.py",
            "trainer/raw_columns.py",
            "components/evaluation/tfma_extracts.py",
            "components/evaluation/metrics/classes.py",
            "components/evaluation/metrics/numbers.py",
            "components/evaluation/metrics/binary.py",
            "components/evaluation/metrics/lists.py",
            "components/evaluation/metrics/combiners.py",
        ),
    )
    infra_check = InfraCheck(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        examples=examples,
        spec=spec,
        limits=config.limits.model_dump_json(),
        rows=config.infra_check_rows,
        server=model_servers.chosen(config.infra_check_server),
        code=code_version("serving", "components/infra_check.py", "components/model_servers.py", "trainer/warmup.py"),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_check.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(layout.serving))
        ),
    )
    report = Report(
        spec=spec,
        config=config.as_file(),
        files=fingerprinted(dataset),
        code=code_version("schema", "trainer", "components", "pipeline", "serving"),
        examples=examples,
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        transform_graph=transform.outputs["transform_graph"],
        model=trainer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_check.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        baseline_model=blessed.outputs["model"],
        **({"drift": validators[-1].outputs["anomalies"]} if dataset.spans else {}),
    )
    return Pipeline(
        pipeline_name=dataset.name,
        pipeline_root=str(layout.artifacts),
        components=[
            example_gen,
            statistics,
            schema,
            *validators,
            transform,
            *before_training,
            trainer,
            blessed,
            evaluator,
            infra_check,
            pusher,
            report,
        ],
        metadata_connection_config=connection(config.metadata, layout.metadata),
        enable_cache=config.cache,
        beam_pipeline_args=config.beam.arguments(config.root),
    )


def _drift_validator(dataset: Dataset, params: SpanParams, schema: Channel) -> BaseNode:
    """Compares the last span of the dataset's window with the one before it."""
    columns = arrow_schema(dataset.spec).names
    for name in params.max_drift:
        if name not in columns:
            raise SpecError(
                f"spans.max_drift: expected columns of {dataset.name} ({listing(columns)}), "
                f"received {name!r}{nearest(name, columns)}"
            )
    assert dataset.spans is not None, "only called for spans"
    span = dataset.window[-1]
    before = dataset.spans.before(span)
    node: BaseNode = DriftValidator(
        schema=schema,
        spec=dataset.spec.model_dump_json(),
        span=dataset.spans.name(span),
        files=fingerprinted(dataset.of_span(span)),
        span_before="" if before is None else dataset.spans.name(before),
        files_before="" if before is None else fingerprinted(dataset.of_span(before)),
        max_drift=json.dumps(params.max_drift, sort_keys=True),
        severity=params.drift,
        code=code_version(
            "schema", "components/drift_validator.py", "components/distances.py", "components/example_gen.py"
        ),
    )
    return node


def code_version(*paths: str) -> str:
    """A digest of our own sources, so that a component runs again when what it calls has changed.

    TFX does this for module files; ours are importable functions, which it does not look into.

    Args:
        paths: packages (folders) and modules (files), relative to the project.
    """
    digest = hashlib.sha256()
    for path in paths:
        source = _SOURCES / path
        for file in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(file.relative_to(_SOURCES).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
