"""Compiles the pipeline into a job for Vertex AI, with TFX's own runner for it.

Unlike the tasks of a Kubeflow package, the components are launched by the platform itself, which finds inputs with its
own resolvers, keeps metadata and caches. So a job is for the files that the dataset has when it is compiled.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from pipeline.config.run import RunConfig
from pipeline.config.vertex import MOUNTS
from pipeline.run.graph import create_pipeline
from pipeline.run.layout import Layout
from schema.dataset import Dataset, find
from schema.errors import SpecError

_PLACEHOLDER = "{{$"


def compile_job(config: RunConfig, output: Path) -> None:
    """Writes the job in the format of Vertex AI's client.

    Args:
        config: the configuration of the run, with a `vertex` section.
        output: the JSON file to write.

    Raises:
        SpecError: there is no `vertex` section, `output` is not the name of a JSON file, Vertex AI does not allow a
            name, its containers do not see the data, or the configuration asks for a warm start or a refresh, for which
            its resolvers cannot choose a model.
    """
    if output.suffix != ".json":
        raise SpecError(f"--output: expected a name that ends in .json, received {str(output)!r}")
    vertex = config.vertex
    if vertex is None:
        raise SpecError("vertex: expected a section with an image and a root in a bucket, received none")
    if config.train.warm_start:
        raise SpecError(
            "train.warm_start: expected false for Vertex AI, received true: only Rankline's own "
            "resolvers know models trained on other data"
        )
    if config.refresh:
        raise SpecError("refresh: expected false for Vertex AI, received true: its resolvers know no pushed model")
    dataset = find(config.dataset)
    _check(dataset)
    _check_names(dataset)
    pipeline = create_pipeline(
        config.model_copy(update={"root": vertex.mounted_root}), dataset, with_own_resolvers=False
    )
    # All paths are those in the containers, except for those of artifacts, which Vertex AI sets itself.
    pipeline.pipeline_info.pipeline_root = f"{vertex.root}/{Layout(Path(), dataset.name).artifacts}"
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image=vertex.image, use_pipeline_spec_2_1=True)
    )
    job = runner.run(pipeline, write_out=False)
    for component in pipeline.components:
        if getattr(component, "ALWAYS_RUNS", False):
            job["pipelineSpec"]["root"]["dag"]["tasks"][component.id].pop("cachingOptions", None)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(job, indent=2, sort_keys=True) + "\n")


def _check_names(dataset: Dataset) -> None:
    """Checks for names that Vertex AI would replace as placeholders, those of columns included."""
    for name in (*dataset.spec.columns, *(cross.name for cross in dataset.spec.crosses)):
        if _PLACEHOLDER in name:
            raise SpecError(
                f"dataset: expected names without {_PLACEHOLDER} for Vertex AI, received {name!r}; rename it, or add "
                "the column to 'ignore'"
            )


def _check(dataset: Dataset) -> None:
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,127}", dataset.name):
        raise SpecError(
            f"name: expected small letters, digits and - for Vertex AI, received {dataset.name!r}; give the dataset "
            "such a name in its features.yaml"
        )
    for file in (file for files in dataset.files.values() for file in files):
        if not file.is_relative_to(MOUNTS):
            raise SpecError(
                f"dataset: expected files below {MOUNTS}, where Vertex AI mounts buckets, received {file}; mount "
                "the bucket there on this machine too, with gcsfuse"
            )
