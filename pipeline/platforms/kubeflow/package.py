"""Compiles the pipeline into a package for Kubeflow Pipelines 2, in which each node is a container of its own.

TFX's own runner for Kubeflow leaves resolvers, drivers and schemas of artifacts to the platform, but open-source
Kubeflow does not have them. Here the tasks exchange nothing through Kubeflow: each rebuilds the pipeline and finds its
inputs in ML Metadata, as in a local run. Kubeflow only provides order, machines and retries.
"""

# kfp reads the annotations of functions as types, so they must not become strings.

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, kubernetes

from components.descriptions import DESCRIPTIONS
from pipeline.config.kubeflow import Kubeflow, Task
from pipeline.config.metadata import Sqlite
from pipeline.config.run import RunConfig
from pipeline.run.graph import create_pipeline
from schema.dataset import find
from schema.errors import SpecError, listing, nearest

_OF_THIS_SIDE = ("kubeflow", "vertex")
"""The sections of a configuration that concern the machine that compiles, and not the pods."""


def compile_package(config: RunConfig, given: Mapping[str, Any], settings: Sequence[str], output: Path) -> None:
    """Writes the package.

    The package is the same for every run. Runs differ in its parameters, whose defaults are the values given here. The
    package contains the configuration as it was given, so that the pods read it as `rankline run` does.

    Args:
        config: the configuration that `given` and `settings` make, with a `kubeflow` section.
        given: the content of the configuration's file.
        settings: the settings that override it, as `key=value`.
        output: the YAML file to write.

    Raises:
        SpecError: there is no `kubeflow` section, it names unknown tasks, the pods would not share the metadata, or
        `output` is not the name of a YAML file.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise SpecError(f"--output: expected a name that ends in .yaml, received {str(output)!r}")
    pods = config.kubeflow
    if pods is None:
        raise SpecError("kubeflow: expected a section with an image, volumes and a root on one of them, received none")
    if isinstance(config.metadata, Sqlite) and config.metadata.path:
        try:
            pods.check_shared(config.metadata.path)
        except ValueError as error:
            raise SpecError(f"metadata.path: {error}") from None
    pipeline = create_pipeline(config, find(config.dataset))
    nodes = {component.id: sorted(node.id for node in component.upstream_nodes) for component in pipeline.components}
    # A refresh has fewer nodes than the runs with which it shares a configuration.
    tasks_known = DESCRIPTIONS if config.refresh else nodes
    for name in pods.tasks:
        if name not in tasks_known:
            raise SpecError(
                f"kubeflow.tasks: expected one of {listing(tasks_known)}, received {name!r}{nearest(name, tasks_known)}"
            )
    for_pods = json.dumps({key: value for key, value in given.items() if key not in _OF_THIS_SIDE}, sort_keys=True)
    # Each run has the span as a parameter, which a setting would override.
    here = (*(f"{key}." for key in _OF_THIS_SIDE), "spans.span=")
    settings_for_pods = [setting for setting in settings if not setting.startswith(here)]

    job = "-refresh" if config.refresh else ""

    @dsl.pipeline(name=f"rankline-{pipeline.pipeline_info.pipeline_name}{job}")  # type: ignore[untyped-decorator]
    def package(
        run_id: str = "",
        dataset: str = pods.dataset or config.dataset,
        span: str = config.spans.span,
        model: str = config.train.model,
        settings: list[str] = settings_for_pods,
        config: str = for_pods,
    ) -> None:
        tasks: dict[str, dsl.PipelineTask] = {}
        for node_id, upstream in nodes.items():
            task = _component(node_id, pods)(
                run_id=run_id,
                # The platform replaces this with its name of the run, but only if it is the whole value.
                job_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                dataset=dataset,
                span=span,
                model=model,
                settings=settings,
                config=config,
            )
            task.after(*(tasks[name] for name in upstream))
            _equip(task, pods)
            _bound(task, pods.of_task(node_id))
            tasks[node_id] = task.set_display_name(node_id)

    output.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(package, str(output))


def _component(node_id: str, pods: Kubeflow) -> Any:
    """The component whose task runs a node."""

    def node(
        run_id: str, job_id: str, dataset: str, span: str, model: str, settings: list[str], config: str
    ) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=pods.image,
            command=["python", "-m", "pipeline.run.node"],
            args=["--node", node_id, "--run-id", run_id, "--job-id", job_id, "--root", str(pods.root),
                  "--dataset", dataset, "--span", span, "--model", model, "--settings", settings, "--config", config],
        )  # fmt: skip

    node.__name__ = node_id  # names the component, and its task
    return dsl.container_component(node)


def _equip(task: dsl.PipelineTask, pods: Kubeflow) -> None:
    """Gives a task what all tasks have."""
    task.set_caching_options(False)  # TFX has a cache of its own
    # Fetched data is shared, and has the same path in every pod.
    for name, value in {"RANKLINE_CACHE": str(pods.root / "cache"), **pods.env}.items():
        task.set_env_variable(name, value)
    for name, key in pods.secrets.items():
        kubernetes.use_secret_as_env(task, key.secret, {key.key: name})
    for volume in pods.volumes:
        kubernetes.mount_pvc(task, volume.claim, str(volume.path), volume.sub_path)
    if pods.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(pods.image_pull_secrets))


def _bound(task: dsl.PipelineTask, given: Task) -> None:
    """Gives a task its resources, retries and time limit."""
    for set_bound, bound in (
        (task.set_cpu_request, given.cpu),
        (task.set_cpu_limit, given.cpu_limit),
        (task.set_memory_request, given.memory),
        (task.set_memory_limit, given.memory_limit),
    ):
        if bound is not None:
            set_bound(bound)
    if given.gpu:
        task.set_accelerator_type(given.gpu_type).set_accelerator_limit(given.gpu)
    for key, value in given.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for taint in given.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect)
    if given.retries:
        task.set_retry(
            given.retries, f"{given.backoff_seconds}s", given.backoff_factor, f"{given.backoff_max_seconds}s"
        )
    if given.timeout_seconds:
        kubernetes.set_timeout(task, given.timeout_seconds)
