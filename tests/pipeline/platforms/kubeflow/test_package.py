"""The package for Kubeflow Pipelines, as text and as kfp reads it. tests/e2e runs its tasks."""

import contextlib
import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from kfp.components import load_component_from_file

from pipeline.config.run import load, resolve
from pipeline.platforms.kubeflow.package import compile_package
from pipeline.run.graph import create_pipeline
from pipeline.run.node import main
from schema.dataset import find
from schema.errors import SpecError
from schema.mistakes import read_yaml
from tests.pipeline.packages import Package

HERE = Path(__file__).parent
CONFIG, GOLDEN, SHOP = HERE / "run.yaml", HERE / "package.yaml", HERE / "shop"
SETTINGS = ("train.epochs=3",)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "here" / "package.yaml"
    compile_package(load(CONFIG, {"dataset": str(SHOP)}, SETTINGS), read_yaml(CONFIG), SETTINGS, path)
    return path


@pytest.fixture(scope="module")
def package(path):
    return Package(path)


def test_it_is_what_it_was(path):
    """See run.yaml for how to change it."""
    assert path.read_text() == GOLDEN.read_text()


def test_kfp_loads_it(path):
    loaded = load_component_from_file(str(path))
    assert loaded.pipeline_spec.schema_version == "2.1.0"
    assert loaded.name == "rankline-shop"
    assert {name: spec.default for name, spec in loaded.component_spec.inputs.items()} == {
        "run_id": "",
        "dataset": "/clicks/shop",
        "span": "latest",
        "model": "dcn_v2",
        "settings": ["train.epochs=3"],
        "config": json.dumps(
            {key: value for key, value in read_yaml(CONFIG).items() if key != "kubeflow"}, sort_keys=True
        ),
    }
    assert set(loaded.platform_spec.platforms) == {"kubernetes"}


def test_every_parameter_may_be_left_out(tmp_path):
    """Also where its default is nothing, which is lost in some other ways of writing one."""
    compile_package(load(CONFIG, {"dataset": str(SHOP)}, ()), read_yaml(CONFIG), (), tmp_path / "package.yaml")
    defaults = {
        name: parameter["defaultValue"] for name, parameter in Package(tmp_path / "package.yaml").parameters.items()
    }
    assert (defaults["run_id"], defaults["settings"]) == ("", [])


def test_the_tasks_are_the_nodes_each_after_those_that_it_depends_on(package):
    chain = create_pipeline(load(CONFIG, {"dataset": str(SHOP)}, SETTINGS), find(SHOP)).components
    assert {node: package.upstream(node) for node in package.tasks} == {
        component.id: {before.id for before in component.upstream_nodes} for component in chain
    }
    assert {"Tuner", "EarlierModel"} <= set(package.tasks)


def test_a_refresh_has_a_package_of_its_own(tmp_path):
    (tmp_path / "features.yaml").write_text("name: books\nlabel: y\nranking: {group: user, item: book}\n")
    (tmp_path / "log.csv").write_text("user,book,y\nann,b1,1\nbob,b2,0\n")
    settings = (*SETTINGS, "refresh=true")
    path = tmp_path / "package.yaml"
    compile_package(load(CONFIG, {"dataset": str(tmp_path)}, settings), read_yaml(CONFIG), settings, path)
    loaded = load_component_from_file(str(path))
    assert loaded.name == "rankline-books-refresh"
    assert loaded.component_spec.inputs["settings"].default == [*settings]
    assert sorted(loaded.pipeline_spec.root.dag.tasks) == [
        "examplegen", "infracheck", "latestblessedmodel", "pusher", "refresher",
    ]  # fmt: skip


def test_what_stays_here_is_not_in_it(tmp_path):
    settings = ("kubeflow.image=other:1", "train.epochs=3", "spans.span=2026-11-23")
    config = load(CONFIG, {"dataset": str(SHOP)}, settings)
    compile_package(config, read_yaml(CONFIG), settings, tmp_path / "package.yaml")
    package = Package(tmp_path / "package.yaml")
    assert package.parameters["settings"]["defaultValue"] == ["train.epochs=3"]
    assert package.parameters["span"]["defaultValue"] == "2026-11-23"
    assert "kubeflow" not in json.loads(package.parameters["config"]["defaultValue"])
    assert package.container("Trainer")["image"] == "other:1"


def test_a_pod_reads_the_configuration_that_was_compiled(package):
    command = package.command("Trainer", "f3b2", {})
    assert command[:3] == ["python", "-m", "pipeline.run.node"]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert options.pop("--config") == package.parameters["config"]["defaultValue"]
    assert options == {
        "--node": "Trainer",
        "--run-id": "",
        "--job-id": "f3b2",
        "--root": "/data/runs",
        "--dataset": "/clicks/shop",
        "--span": "latest",
        "--model": "dcn_v2",
        "--settings": '["train.epochs=3"]',
    }


def test_a_run_may_differ(package):
    arguments = {"run_id": "monday", "span": "2026-11-23", "model": "wide", "settings": []}
    command = package.command("Pusher", "f3b2", arguments)
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert (options["--run-id"], options["--model"], options["--settings"]) == ("monday", "wide", "[]")
    assert options["--span"] == "2026-11-23"


def test_only_tfx_caches(package):
    assert all(package.task(node)["cachingOptions"] == {} for node in package.tasks)
    assert json.loads(package.parameters["config"]["defaultValue"]).get("cache", True)


def test_all_pods_share_what_they_need(package):
    for node in package.tasks:
        container, pod = package.container(node), package.pod(node)
        assert container["image"] == "registry.example.com/rankline:0.1.0"
        assert {variable["name"]: variable["value"] for variable in container["env"]} == {
            "RANKLINE_CACHE": "/data/runs/cache",
            "TF_NUM_INTRAOP_THREADS": "4",
        }
        assert [(mount["constant"], mount["mountPath"], mount.get("subPath", "")) for mount in pod["pvcMount"]] == [
            ("rankline", "/data", ""),
            ("clicks", "/clicks", "2026"),
        ]
        (secret,) = pod["secretAsEnv"]
        assert (secret["secretName"], secret["keyToEnv"]) == (
            "postgres",
            [{"secretKey": "password", "envVar": "MLMD_PASSWORD"}],
        )
        assert [pull["secretName"] for pull in pod["imagePullSecret"]] == ["registry"]


def test_each_task_has_its_own_machine(package):
    of_all = {
        "resourceCpuRequest": "2",
        "resourceCpuLimit": "4",
        "resourceMemoryRequest": "8Gi",
        "resourceMemoryLimit": "12Gi",
    }
    assert of_all.items() <= package.container("Transform")["resources"].items()
    assert "accelerator" not in package.container("Transform")["resources"]

    trainer = package.container("Trainer")["resources"]
    assert {
        "resourceCpuRequest": "2",
        "resourceMemoryRequest": "16Gi",
        "resourceMemoryLimit": "24Gi",
    }.items() <= trainer.items()
    assert trainer["accelerator"].items() >= {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}.items()
    evaluator = package.container("Evaluator")["resources"]["accelerator"]
    assert evaluator.items() >= {"resourceType": "amd.com/gpu", "resourceCount": "2"}.items()

    assert package.pod("Trainer")["nodeSelector"]["labels"] == {"pool": "gpu"}
    assert "nodeSelector" not in package.pod("Transform")
    assert package.pod("Trainer")["tolerations"] == [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]
    assert "tolerations" not in package.pod("Pusher")


def test_a_task_is_tried_again_and_stopped_in_time(package):
    assert package.task("Trainer")["retryPolicy"] == {
        "maxRetryCount": 3,
        "backoffDuration": "30s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "600s",
    }
    assert "retryPolicy" not in package.task("Pusher")
    assert package.pod("Trainer")["activeDeadlineSeconds"] == "7200"
    assert package.pod("Pusher")["activeDeadlineSeconds"] == "3600"


@pytest.mark.parametrize(
    ("settings", "output", "message"),
    [
        (["kubeflow=null"], "a.yaml", "kubeflow: expected a section with an image, .*, received none"),
        (["kubeflow.tasks={Trianer: {cpu: 1}}"], "a.yaml",
         r"kubeflow\.tasks: expected one of ExampleGen, .*, received 'Trianer'; did you mean 'Trainer'\?"),
        (["metadata={name: sqlite, path: /tmp/db}"], "a.yaml",
         r"metadata\.path: expected a path on one of the volumes \(/data, /clicks\), received '/tmp/db'"),
        ([], "a.json", "--output: expected a name that ends in .yaml, received '.*a.json'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled(tmp_path, settings, output, message):
    given = read_yaml(CONFIG)
    config = load(CONFIG, {"dataset": str(SHOP)}, settings)
    with pytest.raises(SpecError) as caught:
        compile_package(config, given, settings, tmp_path / output)
    assert re.fullmatch(message, str(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_compiling_from_the_command_line(rankline, tmp_path):
    output = tmp_path / "package.yaml"
    done = rankline("compile", "-d", str(SHOP), "-c", str(CONFIG), "--set", *SETTINGS, "-o", str(output))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Compiled dcn_v2 on {SHOP} to {output}\n"
    assert output.read_text() == GOLDEN.read_text()


# What its tasks run, as far as it takes no time: all of it is in tests/e2e.


@pytest.fixture
def shared(tmp_path):
    """A package whose pods share a folder that is there, with a dataset in it."""
    folder = tmp_path / "volume" / "shop"
    folder.mkdir(parents=True)
    (folder / "features.yaml").write_text("label: clicked\n")
    rows = [f"{row},{row % 2}" for row in range(300)]
    (folder / "clicks.csv").write_text("\n".join(["price,clicked", *rows, ""]))
    volume = {"claim": "c", "path": str(folder.parent)}
    given = {"kubeflow": {"image": "i", "volumes": [volume], "root": f"{folder.parent}/runs", "dataset": str(folder)}}
    compile_package(resolve(given, {"dataset": str(folder)}, (), ""), given, (), tmp_path / "package.yaml")
    return Package(tmp_path / "package.yaml")


@pytest.fixture
def pod(monkeypatch, tmp_path):
    """Runs a container's command in this process, in an empty folder; gives its exit status and what it said."""

    def run(command):
        (tmp_path / "empty").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "empty")
        with restored_logging():
            result = CliRunner().invoke(main, command[3:])
        assert list(Path.cwd().iterdir()) == []
        return result.exit_code, result.output

    return run


@contextlib.contextmanager
def restored_logging():
    level = logging.getLogger().level
    try:
        yield
    finally:
        logging.getLogger().setLevel(level)


def test_pods_take_up_what_others_have_left(shared, pod):
    """In the same run, and in the next one."""
    for job, word in (("1", "done"), ("1", "done"), ("2", "unchanged")):
        status, said = pod(shared.command("ExampleGen", job, {}))
        assert (status, f"ExampleGen: {word}\n" in said) == (0, True), said


def test_a_run_keeps_to_the_span_that_it_has_begun_with(shared, pod, tmp_path):
    """Also where a later one has come since, which is for the next run; but a run that names one gets that."""
    shop = tmp_path / "volume" / "shop"
    (shop / "features.yaml").write_text("{label: clicked, source: {files: 'clicks-{SPAN}.csv'}}")
    (shop / "clicks.csv").rename(shop / "clicks-1.csv")
    for day, job, span, read in ((1, "1", "latest", 1), (2, "1", "latest", 1), (2, "2", "latest", 2), (2, "3", "1", 1)):
        (shop / f"clicks-{day}.csv").write_text((shop / "clicks-1.csv").read_text())
        command = shared.command("ExampleGen", job, {"span": span})
        status, said = pod(command)
        assert (status, f"ExampleGen/examples/{read}\n" in said) == (0, True), said


def test_a_pod_whose_data_is_wrong_says_so(shared, pod, tmp_path):
    (tmp_path / "volume" / "shop" / "clicks.csv").write_text("price,clicked\n1,perhaps\n")
    status, said = pod(shared.command("ExampleGen", "f3b2", {}))
    assert status == 1
    assert "clicks.csv" in said
    assert "Traceback" not in said.partition("Error: ")[2]


@pytest.mark.parametrize(
    ("node_id", "arguments", "status", "message"),
    [
        ("Trainer", {"run_id": "none"}, 1,
         "Error: Trainer: expected outputs of ExampleGen, Transform in this run, received none; run these first"),
        ("Trainer", {"config": "["}, 1, "Error: --config: expected an object as JSON, received '['"),
        ("Trainer", {"settings": {"a": 1}}, 1, "Error: --settings: expected a list of KEY=VALUE as JSON, received"),
        ("Trainer", {"settings": ["train.epochs=0"]}, 1,
         "Error: --config: train.epochs: expected a number above 0, received 0"),
        ("Trainer", {"model": "wyde"}, 1, "'wyde'"),
    ],
)  # fmt: skip
def test_mistakes_in_parameters(shared, pod, node_id, arguments, status, message):
    got, said = pod(shared.command(node_id, "f3b2", arguments))
    assert (got, message in said) == (status, True), said


def test_nodes_and_runs_have_names(shared, pod):
    status, said = pod(shared.command("Trainer", "", {}))
    assert (status, "expected a --run-id or a --job-id, received neither" in said) == (2, True)
    command = ["Trianer" if word == "Trainer" else word for word in shared.command("Trainer", "f3b2", {})]
    status, said = pod(command)
    assert (status, "received 'Trianer'; did you mean 'Trainer'?" in said) == (1, True)
