"""The tasks of a job for Vertex AI, each by its container's command, with folders of this machine for buckets."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config.run import load
from pipeline.platforms import vertex

pytestmark = pytest.mark.long

SETTINGS = ("vertex={image: 'rankline:0.1.0', root: 'gs://bucket/runs'}", "train.epochs=2", "thresholds.auc.min=0.6")


class Job:
    """A job whose tasks this machine runs, as the platform would do the first time: no model is blessed yet.

    Args:
        content: of the JSON file.
        folder: receives the artifacts, and what the tasks say.
    """

    def __init__(self, content, folder: Path) -> None:
        spec = content["pipelineSpec"]
        self._spec = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        self._executors = json_format.ParseDict(
            spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
        ).executors
        self._folder = folder
        self.outputs: dict[str, dict[str, pipeline_spec_pb2.RuntimeArtifact]] = {}
        """Task -> its artifacts, by their key."""

    def run(self) -> None:
        """Runs all tasks, each after those that it depends on."""
        tasks = self._spec.root.dag.tasks
        while waiting := tasks.keys() - self.outputs.keys():
            name = next(name for name in sorted(waiting) if self._before(name) <= self.outputs.keys())
            self.outputs[name] = self._run(name)

    def _before(self, name: str) -> set[str]:
        task = self._spec.root.dag.tasks[name]
        return {
            *task.dependent_tasks,
            *(each.task_output_artifact.producer_task for each in task.inputs.artifacts.values()),
        }

    def _run(self, name: str) -> dict[str, pipeline_spec_pb2.RuntimeArtifact]:
        task = self._spec.root.dag.tasks[name]
        component = self._spec.components[task.component_ref.name]
        executor = self._executors[component.executor_label]
        if executor.HasField("resolver"):
            return {}
        given = pipeline_spec_pb2.ExecutorInput()
        given.outputs.output_file = str(self._folder / f"{name}.json")
        for key, parameter in task.inputs.parameters.items():
            given.inputs.parameter_values[key].CopyFrom(parameter.runtime_value.constant)
        for key, source in task.inputs.artifacts.items():
            made = self.outputs[source.task_output_artifact.producer_task]
            if artifact := made.get(source.task_output_artifact.output_artifact_key):
                given.inputs.artifacts[key].artifacts.append(artifact)
        for key, output in component.output_definitions.artifacts.items():
            place = self._folder / "artifacts" / name / key
            place.mkdir(parents=True)  # buckets have folders where there are files
            given.outputs.artifacts[key].artifacts.add(
                name=f"artifacts/{name}-{key}", uri=str(place), type=output.artifact_type
            )
        invocation = json_format.MessageToJson(given)
        container = executor.container
        arguments = [invocation if argument == "{{$}}" else argument for argument in container.args]
        done = subprocess.run(
            [*container.command, *arguments],
            cwd=self._folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr[-3000:]}"
        return self._published(given, Path(given.outputs.output_file).read_text())

    def _published(self, given, text: str) -> dict[str, pipeline_spec_pb2.RuntimeArtifact]:
        said = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput()).artifacts
        for key, artifacts in given.outputs.artifacts.items():
            if key in said:
                artifacts.artifacts[0].metadata.MergeFrom(said[key].artifacts[0].metadata)
        return {key: artifacts.artifacts[0] for key, artifacts in given.outputs.artifacts.items()}


@pytest.fixture(scope="module")
def mounts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gcs")
    with pytest.MonkeyPatch.context() as patch:
        for module in ("pipeline.config.vertex", "pipeline.platforms.vertex"):
            patch.setattr(f"{module}.MOUNTS", folder)
        yield folder


@pytest.fixture(scope="module")
def job(mounts, tmp_path_factory):
    """A job that has run."""
    shop = mounts / "bucket" / "shop"
    shop.mkdir(parents=True)
    (shop / "features.yaml").write_text("label: clicked\n")
    chance = random.Random(1)  # noqa: S311 (nothing secret)
    kinds = [chance.randrange(7) for _ in range(3000)]
    rows = [f"k{kind},{chance.random()},{int(chance.random() < 0.1 + 0.12 * kind)}" for kind in kinds]
    (shop / "clicks.csv").write_text("\n".join(["kind,price,clicked", *rows, ""]))
    folder = tmp_path_factory.mktemp("vertex")
    vertex.compile_job(load(None, {"dataset": str(shop)}, SETTINGS), folder / "job.json")
    job = Job(json.loads((folder / "job.json").read_text()), folder)
    job.run()
    return job


def test_a_model_that_passes_is_pushed(job, mounts):
    pushed = job.outputs["Pusher"]["pushed_model"].metadata
    assert pushed["pushed"] == 1
    (version,) = (mounts / "bucket" / "runs" / "shop" / "serving").iterdir()
    assert pushed["pushed_destination"] == str(version)
    assert "serving_default" in tf.saved_model.load(str(version)).signatures


def test_what_judges_it_says_so_to_the_platform(job):
    assert job.outputs["Evaluator"]["blessing"].metadata["blessed"] == 1
    assert json.loads(job.outputs["Evaluator"]["evaluation"].metadata["metrics"])["auc"] > 0.6
    assert job.outputs["InfraCheck"]["blessing"].metadata["blessing_status"] == "INFRA_BLESSED"
