"""The job for Vertex AI, as the platform's messages and its own client read it."""

import importlib
import json
import re
import warnings

import pytest
from google.auth.credentials import AnonymousCredentials
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config.run import load
from pipeline.platforms import vertex
from pipeline.run.graph import create_pipeline
from schema.dataset import find
from schema.errors import SpecError

VERTEX = "vertex={image: 'registry.example.com/rankline:0.1.0', root: 'gs://bucket/runs'}"
ROWS = "\n".join(["price,clicked", *(f"{row},{row % 2}" for row in range(300)), ""])


@pytest.fixture
def mounts(tmp_path, monkeypatch):
    """Where Vertex AI would have buckets."""
    for module in ("pipeline.config.vertex", "pipeline.platforms.vertex"):
        monkeypatch.setattr(f"{module}.MOUNTS", tmp_path / "gcs")
    return tmp_path / "gcs"


@pytest.fixture
def shop(mounts):
    folder = mounts / "bucket" / "shop"
    folder.mkdir(parents=True)
    (folder / "features.yaml").write_text("label: clicked\n")
    (folder / "clicks.csv").write_text(ROWS)
    return folder


@pytest.fixture
def config(shop):
    def with_settings(*settings):
        return load(None, {"dataset": str(shop)}, [VERTEX, *settings])

    return with_settings


@pytest.fixture
def job(config, tmp_path):
    vertex.compile_job(config("tune={space: {dropout: [0.1, 0.2]}, trials: 2}"), tmp_path / "job.json")
    return json.loads((tmp_path / "job.json").read_text())


@pytest.fixture
def spec(job):
    return json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())


@pytest.fixture
def executors(job):
    """Component -> what runs it."""
    parsed = json_format.ParseDict(
        job["pipelineSpec"]["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    ).executors
    components = job["pipelineSpec"]["components"]
    return {name: parsed[component["executorLabel"]] for name, component in components.items()}


def test_the_platforms_messages_hold_all_of_it(job, spec, executors):
    """Their parsers refuse what they do not know."""
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    assert (spec.schema_version, spec.pipeline_info.name) == ("2.1.0", "shop")
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://bucket/runs/shop/artifacts"}
    assert set(executors) == {task.component_ref.name for task in spec.root.dag.tasks.values()}
    with pytest.raises(json_format.ParseError, match="no field named"):
        json_format.ParseDict({**job, "pipelineSpecs": {}}, pipeline_spec_pb2.PipelineJob())


def test_vertex_ais_client_loads_it(job, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.cloud import aiplatform
    loaded = aiplatform.PipelineJob(
        display_name="shop",
        template_path=str(tmp_path / "job.json"),
        project="project",
        location="europe-west4",
        credentials=AnonymousCredentials(),
    ).to_dict()
    assert loaded["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/runs/shop/artifacts"
    assert loaded["pipelineSpec"]["root"] == job["pipelineSpec"]["root"]


def test_its_tasks_are_the_nodes_each_after_those_that_it_depends_on(config, shop, spec):
    """But for the resolver, of which the platform has two: one for the blessing, one for its model."""
    chain = create_pipeline(
        config("tune={space: {dropout: [0.1, 0.2]}, trials: 2}"), find(shop), with_own_resolvers=False
    ).components
    blessing, model = "LatestBlessedModel-model-blessing-resolver", "LatestBlessedModel-model-resolver"
    nodes = {node.id for node in chain} - {"LatestBlessedModel"}
    assert set(spec.root.dag.tasks) == nodes | {blessing, model}
    for node in chain:
        if node.id in nodes:
            task = spec.root.dag.tasks[node.id]
            producers = {each.task_output_artifact.producer_task for each in task.inputs.artifacts.values()}
            expected = {before.id for before in node.upstream_nodes} - {"LatestBlessedModel"}
            assert expected <= {*task.dependent_tasks, *producers} <= expected | {model}, node.id
    (given,) = spec.root.dag.tasks[model].inputs.artifacts.values()
    assert given.task_output_artifact.producer_task == blessing


def test_every_input_is_some_tasks_output(spec):
    for name, task in spec.root.dag.tasks.items():
        for key, given in task.inputs.artifacts.items():
            producer = spec.root.dag.tasks[given.task_output_artifact.producer_task]
            outputs = spec.components[producer.component_ref.name].output_definitions.artifacts
            assert given.task_output_artifact.output_artifact_key in outputs, f"{name}.{key}"


def test_containers_run_our_components_in_the_given_image(executors):
    containers = {name: each.container for name, each in executors.items() if each.HasField("container")}
    assert {"ExampleGen", "Trainer", "Tuner", "Evaluator", "InfraCheck", "Pusher"} < set(containers)
    for container in containers.values():
        assert container.image == "registry.example.com/rankline:0.1.0"
        assert list(container.command[:2]) == ["python", "-m"]
        assert importlib.util.find_spec(container.command[2])
        options = dict(zip(container.args[::2], container.args[1::2], strict=False))
        module, _, executor = options["--executor_class_path"].rpartition(".")
        assert hasattr(importlib.import_module(module), executor)
        assert options["--json_serialized_invocation_args"] == "{{$}}"


def test_paths_are_those_of_the_containers(spec, mounts):
    pusher = spec.root.dag.tasks["Pusher"].inputs.parameters["push_destination"].runtime_value.constant.string_value
    assert json.loads(pusher)["filesystem"]["base_directory"] == f"{mounts}/bucket/runs/shop/serving"
    trainer = spec.root.dag.tasks["Trainer"].inputs.parameters["custom_config"].runtime_value.constant.string_value
    assert json.loads(trainer)["work_dir"] == f"{mounts}/bucket/runs/shop/work"
    files = spec.root.dag.tasks["ExampleGen"].inputs.parameters["files"].runtime_value.constant.string_value
    assert json.loads(files)["files"] == {"all": [f"{mounts}/bucket/shop/clicks.csv"]}


def test_all_is_cached_but_for_the_push(spec):
    cached = {name: task.caching_options.enable_cache for name, task in spec.root.dag.tasks.items()}
    resolvers = {name for name in cached if name.endswith("-resolver")}
    assert {name for name, on in cached.items() if not on} == {"Pusher"} | resolvers


def test_it_is_the_same_each_time(config, tmp_path):
    for name in ("one.json", "two.json"):
        vertex.compile_job(config(), tmp_path / name)
    assert (tmp_path / "one.json").read_text() == (tmp_path / "two.json").read_text()


@pytest.mark.parametrize(
    ("settings", "output", "message"),
    [
        (["vertex=null"], "a.json", "vertex: expected a section with an image and a root in a bucket, received none"),
        (["train.warm_start=true"], "a.json", "train.warm_start: expected false for Vertex AI, received true: .*"),
        ([], "a.yaml", "--output: expected a name that ends in .json, received '.*a.yaml'"),
    ],
)
def test_what_cannot_be_compiled(config, tmp_path, settings, output, message):
    with pytest.raises(SpecError) as caught:
        vertex.compile_job(config(*settings), tmp_path / output)
    assert re.fullmatch(message, str(caught.value))


@pytest.mark.parametrize(
    "root", ["/gcs/bucket/runs", "gs://bucket", "gs://bucket/../runs", "gs://Bucket/runs", "s3://b/r"]
)
def test_a_root_is_a_folder_in_a_bucket(shop, root):
    with pytest.raises(SpecError, match=r"vertex\.root: expected a folder in a bucket such as gs://bucket/runs, rec"):
        load(None, {"dataset": str(shop)}, [f"vertex={{image: i, root: '{root}'}}"])


def test_data_that_the_containers_do_not_see(tmp_path, mounts):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "features.yaml").write_text("label: clicked\n")
    (tmp_path / "here" / "clicks.csv").write_text(ROWS)
    with pytest.raises(SpecError, match=f"dataset: expected files below {mounts}, .*, received .*here/clicks.csv"):
        vertex.compile_job(load(None, {"dataset": str(tmp_path / "here")}, [VERTEX]), tmp_path / "job.json")


def test_a_name_that_the_platform_does_not_allow(shop, tmp_path):
    (shop / "features.yaml").write_text("{label: clicked, name: My_Shop}")
    with pytest.raises(SpecError, match="name: expected small letters, digits and - for Vertex AI, received 'My_Shop'"):
        vertex.compile_job(load(None, {"dataset": str(shop)}, [VERTEX]), tmp_path / "job.json")


def test_a_column_that_the_platform_takes_for_a_placeholder(shop, config, tmp_path):
    (shop / "clicks.csv").write_text(ROWS.replace("price", "a{{$.pipeline_job_name}}", 1))
    with pytest.raises(
        SpecError, match=r"expected names without {{\$ for Vertex AI, received 'a{{\$\.pipeline_job_name}}'"
    ):
        vertex.compile_job(config(), tmp_path / "job.json")


def test_compiling_from_the_command_line(rankline, shop, tmp_path):
    output = tmp_path / "job.json"
    done = rankline("compile", "-d", str(shop), "--set", VERTEX, "--target", "vertex", "-o", str(output))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Compiled wide_deep on {shop} to {output}\n"
    assert json.loads(output.read_text())["pipelineSpec"]["schemaVersion"] == "2.1.0"
