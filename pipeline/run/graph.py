"""The chains of components: the only place that knows their order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

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
from components.refresher import Refresher
from components.report.component import Report
from components.resolvers import (
    LatestBlessedModelOfOtherExamplesStrategy,
    LatestOtherBlessedModelStrategy,
    LatestServedModelStrategy,
)
from components.schema_gen import SchemaGen, read_given
from components.statistics_gen import StatisticsGen
from components.trainer import Trainer
from components.transform import Transform
from components.tuner import tuner
from pipeline.config.beam import LocalCluster
from pipeline.config.run import RunConfig
from pipeline.config.spans import SpanParams
from pipeline.flink.cluster import Cluster, worker_command
from pipeline.run.code import code_version
from pipeline.run.layout import Layout
from pipeline.run.metadata import connection
from schema.dataset import Dataset
from schema.errors import SpecError, listing, nearest
from schema.reader import arrow_schema
from trainer import models


def create_pipeline(config: RunConfig, dataset: Dataset, with_own_resolvers: bool = True) -> Pipeline:
    """The pipeline that turns a dataset's rows into a served model, or newer rows into a served model's items.

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
    layout = Layout(config.root.resolve(), dataset.name)
    _check(config, dataset, layout)
    if config.refresh:
        nodes = _refreshing(config, dataset, layout)
    else:
        data = _data(config, dataset)
        training = _training(config, dataset, layout, data)
        judging = _judging(config, dataset, data, training, with_own_resolvers)
        nodes = [*data.nodes, *training.nodes, *judging.nodes]
        nodes += _delivery(config, dataset, layout, data, training, judging)
    return Pipeline(
        pipeline_name=dataset.name,
        pipeline_root=str(layout.artifacts),
        components=nodes,
        metadata_connection_config=connection(config.metadata, layout.metadata),
        enable_cache=config.cache,
        beam_pipeline_args=beam_arguments(config),
    )


def beam_arguments(config: RunConfig) -> list[str]:
    """Beam's pipeline options.

    Raises:
        RanklineError: there is no Flink cluster of `rankline flink-up` where one is to be used.
    """
    if not config.beam.needs_local_cluster:
        return config.beam.arguments()
    cluster = Cluster.running(config.root)
    return config.beam.arguments(LocalCluster(cluster.job_endpoint, cluster.slots, str(worker_command(config.root))))


def _check(config: RunConfig, dataset: Dataset, layout: Layout) -> None:
    for name in (config.train.model, *config.models):
        models.check(name)
    if config.train.calibration != "none" and dataset.spec.label.kind != "binary":
        raise SpecError(
            f"train.calibration: expected 'none' for a label that has not two classes, received "
            f"{config.train.calibration!r}"
        )
    if config.refresh and dataset.spec.ranking is None:
        raise SpecError("refresh: expected a dataset with a ranking, received one without; its models know no items")
    if any(letter in str(layout.root) for letter in "*?["):
        raise SpecError(f"root: expected a path without * ? [, by which TFX tells patterns, received {layout.root}")


@dataclass(frozen=True)
class _Data:
    """From rows to transformed examples."""

    example_gen: BaseNode
    statistics: BaseNode
    schema: BaseNode
    validators: Sequence[BaseNode]
    transform: BaseNode

    @property
    def nodes(self) -> list[BaseNode]:
        return [self.example_gen, self.statistics, self.schema, *self.validators, self.transform]

    @property
    def examples(self) -> Channel:
        return self.example_gen.outputs["examples"]

    @property
    def transformed(self) -> Channel:
        return self.transform.outputs["transformed_examples"]


def _example_gen(config: RunConfig, dataset: Dataset) -> BaseNode:
    in_span = {"span": dataset.window[-1], "span_name": dataset.spans.name(dataset.window[-1])} if dataset.spans else {}
    node: BaseNode = ExampleGen(
        spec=dataset.spec.model_dump_json(),
        files=fingerprinted(dataset),
        contexts=config.served_contexts if dataset.spec.ranking else 0,
        code=code_version("components.example_gen"),
        **in_span,
    )
    return node


def _data(config: RunConfig, dataset: Dataset) -> _Data:
    spec = dataset.spec.model_dump_json()
    example_gen = _example_gen(config, dataset)
    examples = example_gen.outputs["examples"]
    statistics = StatisticsGen(examples=examples, code=code_version("components.statistics_gen"))
    schema = SchemaGen(
        statistics=statistics.outputs["statistics"],
        spec=spec,
        given=read_given(dataset.schema_path) if dataset.schema_path else "",
        code=code_version("components.schema_gen"),
    )
    validators = [
        ExampleValidator(
            statistics=statistics.outputs["statistics"],
            schema=schema.outputs["schema"],
            code=code_version("components.example_validator"),
        )
    ]
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
        custom_config={"spec": spec, "code": code_version("components.transform", "trainer.preprocessing")},
    )
    # Nothing may be trained on data that failed its validation.
    transform.add_upstream_node(validators[-1])
    return _Data(example_gen, statistics, schema, validators, transform)


@dataclass(frozen=True)
class _Training:
    """What comes before the training, and the training."""

    before: Sequence[BaseNode]
    trainer: BaseNode

    @property
    def nodes(self) -> list[BaseNode]:
        return [*self.before, self.trainer]

    @property
    def model(self) -> Channel:
        return self.trainer.outputs["model"]


def _training(config: RunConfig, dataset: Dataset, layout: Layout, data: _Data) -> _Training:
    transform_graph = data.transform.outputs["transform_graph"]
    custom_config = {
        "spec": dataset.spec.model_dump_json(),
        "params": config.train.model_dump_json(),
        "work_dir": str(layout.work),
        "served_items": str(config.served_items),
        "code": code_version("components.trainer", "trainer"),
    }
    search, earlier = None, None
    if config.tune:
        search = tuner(data.transformed, transform_graph, custom_config | {"search": config.tune.model_dump_json()})
    if config.train.warm_start:
        earlier = Resolver(
            strategy_class=LatestBlessedModelOfOtherExamplesStrategy,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
            examples=data.transformed,
            raw_examples=data.examples,
        ).with_id("EarlierModel")
    trainer = Trainer(
        examples=data.transformed,
        raw_examples=data.examples,
        transform_graph=transform_graph,
        custom_config=custom_config,
        base_model=earlier.outputs["model"] if earlier else None,
        hyperparameters=search.outputs["best_hyperparameters"] if search else None,
    )
    return _Training([node for node in (search, earlier) if node], trainer)


@dataclass(frozen=True)
class _Judging:
    """The last blessed model, and the candidate's verdict."""

    blessed: BaseNode
    evaluator: BaseNode

    @property
    def nodes(self) -> list[BaseNode]:
        return [self.blessed, self.evaluator]


def _judging(
    config: RunConfig, dataset: Dataset, data: _Data, training: _Training, with_own_resolvers: bool
) -> _Judging:
    blessed = Resolver(
        strategy_class=LatestOtherBlessedModelStrategy if with_own_resolvers else LatestBlessedModelStrategy,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        **({"infra_blessing": Channel(type=InfraBlessing), "candidate": training.model} if with_own_resolvers else {}),
    ).with_id("LatestBlessedModel")
    evaluator = Evaluator(
        examples=data.examples,
        model=training.model,
        baseline_model=blessed.outputs["model"],
        schema=data.schema.outputs["schema"],
        spec=dataset.spec,
        thresholds=applicable(config.thresholds, dataset.spec),
        params=config.gate,
        split="test",
        # TFMA is told the extractors and metrics by name.
        code=code_version(
            "components.evaluator", "components.evaluation.tfma_extracts", "components.evaluation.metrics"
        ),
    )
    return _Judging(blessed, evaluator)


def _delivery(
    config: RunConfig, dataset: Dataset, layout: Layout, data: _Data, training: _Training, judging: _Judging
) -> list[BaseNode]:
    """The check of what is served, the push, and the report."""
    spec = dataset.spec.model_dump_json()
    infra_check, pusher = _check_and_push(
        config, dataset, layout, data.examples, training.model, judging.evaluator.outputs["blessing"]
    )
    report = Report(
        spec=spec,
        config=config.as_file(),
        files=fingerprinted(dataset),
        remarks=json.dumps(list(dataset.remarks)),
        # It says by which code all was done.
        code=code_version("pipeline", "components", "trainer", "schema", "serving"),
        examples=data.examples,
        statistics=data.statistics.outputs["statistics"],
        schema=data.schema.outputs["schema"],
        transform_graph=data.transform.outputs["transform_graph"],
        model=training.model,
        evaluation=judging.evaluator.outputs["evaluation"],
        model_blessing=judging.evaluator.outputs["blessing"],
        infra_blessing=infra_check.outputs["blessing"],
        pushed_model=pusher.outputs["pushed_model"],
        baseline_model=judging.blessed.outputs["model"],
        **({"drift": data.validators[-1].outputs["anomalies"]} if dataset.spans else {}),
    )
    return [infra_check, pusher, report]


def _check_and_push(
    config: RunConfig, dataset: Dataset, layout: Layout, examples: Channel, model: Channel, model_blessing: Channel
) -> tuple[BaseNode, BaseNode]:
    infra_check = InfraCheck(
        model=model,
        model_blessing=model_blessing,
        examples=examples,
        spec=dataset.spec.model_dump_json(),
        limits=config.limits.model_dump_json(),
        rows=config.infra_check_rows,
        server=model_servers.chosen(config.infra_check_server),
        # The server is a process of its own.
        code=code_version("components.infra_check", "serving.server"),
    )
    pusher = Pusher(
        model=model,
        model_blessing=model_blessing,
        infra_blessing=infra_check.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(layout.serving))
        ),
    )
    return infra_check, pusher


def _refreshing(config: RunConfig, dataset: Dataset, layout: Layout) -> list[BaseNode]:
    """The latest blessed model with the newest items and contexts, checked and pushed."""
    example_gen = _example_gen(config, dataset)
    blessed = Resolver(
        strategy_class=LatestServedModelStrategy,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        infra_blessing=Channel(type=InfraBlessing),
    ).with_id("LatestBlessedModel")
    refresher = Refresher(
        model=blessed.outputs["model"],
        examples=example_gen.outputs["examples"],
        spec=dataset.spec.model_dump_json(),
        served_items=config.served_items,
        code=code_version("components.refresher"),
    )
    # The weights are those of the blessed model, so its blessing holds for the copy.
    delivery = _check_and_push(
        config,
        dataset,
        layout,
        example_gen.outputs["examples"],
        refresher.outputs["refreshed"],
        blessed.outputs["model_blessing"],
    )
    return [example_gen, blessed, refresher, *delivery]


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
        code=code_version("components.drift_validator"),
    )
    return node
