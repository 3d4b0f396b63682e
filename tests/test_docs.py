"""The documentation: its commands and paths exist, its examples load, and the bookshop runs as it is shown."""

import ast
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import click
import keras
import numpy as np
import portpicker
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2

from components.evaluation.metrics.registry import METRICS
from components.evaluation.thresholds import applicable
from docs.generate.markdown import anchor
from pipeline.cli import cli
from pipeline.config.run import RunConfig, load
from pipeline.config.vertex import MOUNTS
from pipeline.run.graph import create_pipeline
from schema.dataset import find
from schema.feature_spec import LABEL, WEIGHT, FeatureSpec
from serving.client import Client
from serving.server import Server, ServerOptions
from trainer import models
from trainer.fit import fit
from trainer.input_columns import InputColumn
from trainer.inputs import InMemoryExamples
from trainer.params import Adam, Plateau, TrainParams

ROOT = Path(__file__).parent.parent
PAGES = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "serving/deploy/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
EXAMPLE = "docs/start/own-data.md"
HOME = "/home/you/rankline"
"""Stands on the page for the folder in which the example is tried."""
TIMEOUT_S = 600
SVG = "{http://www.w3.org/2000/svg}"


# The page, taken apart.


def parse(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text())


def fences(tokens: Iterable[Token], *languages: str) -> list[Token]:
    return [token for token in tokens if token.type == "fence" and token.info in languages]


def spans(tokens: Iterable[Token]) -> list[str]:
    """What is set as code within sentences and tables."""
    return [child.content for token in tokens for child in token.children or () if child.type == "code_inline"]


def tables(tokens: Iterable[Token]) -> list[list[list[Token]]]:
    """Tables as rows of cells, without their headings."""
    found: list[list[list[Token]]] = []
    inside = False
    for token in tokens:
        match token.type:
            case "tbody_open":
                found.append([])
                inside = True
            case "tbody_close":
                inside = False
            case "tr_open" if inside:
                found[-1].append([])
            case "inline" if inside:
                found[-1][-1].append(token)
    return found


class Shown(NamedTuple):
    """A command on the page, and what it prints according to it."""

    command: str
    output: str


def console(tokens: Iterable[Token]) -> list[Shown]:
    return [
        Shown(*part.partition("\n")[::2])
        for fence in fences(tokens, "console")
        for part in re.split(r"^\$ ", fence.content, flags=re.MULTILINE)
        if part
    ]


# Commands, links and paths.


def makefile() -> tuple[set[str], set[str]]:
    """The targets, and the variables that they use."""
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)), set(re.findall(r"\$\((\w+)\)", text))


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_and_have_these_options(page):
    tokens = parse(page)
    targets, variables = makefile()
    for text in [*(shown.command for shown in console(tokens)), *spans(tokens)]:
        words = shlex.split(text, comments=True) if text.startswith(("rankline ", "make ")) else []
        match words:
            case ["rankline", name, *arguments]:
                command = cli.commands[name]
                command.make_parser(click.Context(command)).parse_args(arguments)
            case ["make", *arguments]:
                for argument in arguments:
                    variable, given, _ = argument.partition("=")
                    assert variable in (variables if given else targets), text


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_are_shown_are_complete(page):
    for shown in console(parse(page)):
        match shlex.split(shown.command, comments=True):
            case ["rankline", name, *arguments] if "$targets" not in arguments:
                assert cli.commands[name].make_context(name, arguments).args == []


def anchors(page: str) -> set[str]:
    """What a link can say after its #: the headings, as GitHub writes them there."""
    tokens = parse(page)
    return {anchor(tokens[i + 1].content) for i, token in enumerate(tokens) if token.type == "heading_open"}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links = [
        str(child.attrs["href" if child.type == "link_open" else "src"])
        for token in parse(page)
        for child in token.children or ()
        if child.type in ("link_open", "image")
    ]
    for name, _, place in (link.partition("#") for link in links if not link.startswith("https://")):
        target = Path(page).parent / name if name else Path(page)
        assert (ROOT / target).exists(), name
        assert not place or place in anchors(str(target)), place


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"runs", "site"}
    paths = [span for span in spans(parse(page)) if "/" in span and span.split("/")[0] in folders]
    assert [path for path in paths if "<" not in path and not (ROOT / path).exists()] == []


def test_the_tree_is_that_of_the_repository():
    (tree,) = fences(parse("docs/contributing/architecture.md"), "text")
    packages = set()
    for line in tree.content.splitlines():
        place, *words = re.findall(r"[\w./]+(?:/|\.\w+)(?!\S)|[\w./]+(?:/|\.py|\.lock)(?=[ ,:])", line)
        assert (ROOT / place).exists(), place
        for word in words:
            assert (ROOT / place / word).exists() or (ROOT / word).exists(), f"{word} in {line}"
        packages.add(place.rstrip("/"))
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= packages


def drawn(picture: str) -> tuple[list[str], set[tuple[str, str]]]:
    """The names of the boxes in a picture, and those that arrows join."""
    root = ElementTree.parse(ROOT / picture).getroot()  # noqa: S314 (ours)
    arrows = {(path.attrib["data-from"], path.attrib["data-to"]) for path in root.iterfind(f"{SVG}path")}
    return [box.attrib["id"] for box in root.iterfind(f"{SVG}g")], arrows


def test_the_diagram_is_the_chain(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("x,y\n1,0\n2,1\n")
    (tmp_path / "data" / "features.yaml").write_text("label: y\n")
    dataset = find(tmp_path / "data")
    components = create_pipeline(RunConfig(root=tmp_path), dataset).components

    boxes, arrows = drawn("docs/concepts/chain.svg")
    assert boxes == [component.id for component in components]
    assert arrows <= {(before.id, node.id) for node in components for before in node.upstream_nodes}
    assert {name for arrow in arrows for name in arrow} == {component.id for component in components}


def test_the_layers_are_those_that_are_checked():
    boxes, arrows = drawn("docs/contributing/architecture.svg")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers, *forbidden = contracts["contracts"]
    assert set(boxes) == set(contracts["root_packages"])
    assert set(pairwise(layers["layers"])) <= arrows
    for contract in (each for each in forbidden if each["type"] == "forbidden"):
        assert not arrows & set(product(contract["source_modules"], contract["forbidden_modules"]))


# The reference, which is generated.


def test_generated_parts_are_what_the_code_says():
    checked = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert checked.returncode == 0, checked.stderr


def test_every_command_and_target_is_listed():
    commands, *_, make = tables(parse("docs/reference/commands.md"))
    assert [re.findall("`(.*)`", row[0].content) for row in commands] == [[f"rankline {name}"] for name in cli.commands]
    targets, _ = makefile()
    assert {span for row in make for span in spans(row[:1])} == {f"make {target}" for target in targets}


REFERENCE = ("features", "run", "commands", "server")


@pytest.mark.parametrize("name", REFERENCE)
def test_every_key_and_option_is_explained(name):
    found = [row for table in tables(parse(f"docs/reference/{name}.md")) for row in table]
    assert len(found) > 30
    assert [row[0].content for row in found if not row[-1].content] == []


def test_every_metric_is_explained():
    (rows,) = tables(parse("docs/reference/metrics.md"))
    assert [spans(row[:1]) for row in rows] == [[name] for name in METRICS]
    assert all(cell.content for row in rows for cell in row if cell is not row[3])


# The pages' examples, against the models that read them.


@pytest.mark.parametrize("page", PAGES)
def test_yaml_is_of_a_description_or_a_configuration(page):
    for fence in fences(parse(page), "yaml"):
        keys = set(yaml.safe_load(fence.content))
        assert keys <= set(FeatureSpec.model_fields) or keys <= set(RunConfig.model_fields), fence.content


def test_the_readme_is_short_and_shows_the_example():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    (fence,) = fences(parse("README.md"), "yaml")
    assert fence.content == (ROOT / "examples" / "bookshop" / "features.yaml").read_text()
    commands = [shown.command for shown in console(parse(EXAMPLE))]
    assert [shown.command for shown in console(parse("README.md"))][-len(commands) :] == commands


def test_every_model_is_listed():
    rows = next(iter(tables(parse("docs/guides/models.md"))))
    assert sorted(spans(cell for row in rows for cell in row[:1])) == models.names()


@pytest.fixture
def recipe(tmp_path) -> TrainParams:
    """What the page says of published benchmarks, as it is read from a file."""
    (fence,) = (
        fence for fence in fences(parse("docs/guides/models.md"), "yaml") if fence.content.startswith("# bars.yaml")
    )
    path = tmp_path / "bars.yaml"
    path.write_text(fence.content)
    return load(path, {"dataset": "census"}, ()).train


def test_the_recipe_of_published_benchmarks_is_a_configuration(recipe):
    assert recipe.deep_optimizer == recipe.wide_optimizer == Adam(learning_rate=1e-3, lazy=False)
    assert (recipe.embedding_width, recipe.batch_size, recipe.hidden_units) == (10, 4096, (400, 400, 400))
    assert (recipe.batch_norm, recipe.embedding_l2, recipe.patience) == (True, 1e-5, 2)
    assert recipe.schedule == Plateau(factor=0.1)


def test_the_search_for_parameters_is_a_configuration(tmp_path):
    (fence,) = fences(parse("docs/guides/tune.md"), "yaml")
    (tmp_path / "tune.yaml").write_text(fence.content)
    search = load(tmp_path / "tune.yaml", {}, ()).tune
    assert search.trials == 20
    assert set(search.space) == {"deep_optimizer.learning_rate", "dropout", "hidden_units"}


def test_the_section_on_the_gate_is_a_configuration(tmp_path):
    (fence,) = fences(parse("docs/guides/gate.md"), "yaml")
    (tmp_path / "gate.yaml").write_text(fence.content)
    config = load(tmp_path / "gate.yaml", {"dataset": "movielens"}, ())
    assert applicable(config.thresholds, find("movielens").spec)["gauc"].confidence == 0.99
    assert config.limits.are_set


def test_the_section_for_kubeflow_is_a_configuration(tmp_path):
    (fence,) = fences(parse("docs/deploy/kubeflow.md"), "yaml")
    (tmp_path / "shop.yaml").write_text(fence.content)
    pods = load(tmp_path / "shop.yaml", {}, ()).kubeflow
    assert (str(pods.root), pods.dataset) == ("/runs", "/data/bookshop")
    assert (pods.of_task("Trainer").gpu, pods.of_task("Trainer").cpu) == (1, "2")


def test_the_section_on_spans_is_a_dataset_and_a_configuration(tmp_path):
    source, configuration = fences(parse("docs/guides/day-by-day.md"), "yaml")
    (tmp_path / "clicks" / "2026-11-26").mkdir(parents=True)
    table = pa.table({"y": [1, 0], "price": [1.0, 2.0], "device": ["a", "b"]})
    pq.write_table(table, tmp_path / "clicks" / "2026-11-26" / "part-0.parquet")
    (tmp_path / "features.yaml").write_text(f"label: y\n{source.content}")
    (tmp_path / "run.yaml").write_text(configuration.content)
    config = load(None, {"dataset": str(tmp_path)}, ())
    dataset = find(config.dataset, config.spans.span, config.spans.window)
    assert dataset.spans.names(dataset.window) == ["2026-11-26"]
    assert config.spans.max_drift.keys() <= dataset.spec.columns.keys()
    assert config.train.warm_start


def test_the_section_for_vertex_ai_is_a_configuration():
    (fence,) = fences(parse("docs/deploy/vertex.md"), "yaml")
    given = RunConfig.model_validate(yaml.safe_load(fence.content))
    assert Path(given.dataset).is_relative_to(MOUNTS)
    assert Path(given.dataset).parts[2] == given.vertex.mounted_root.parts[2]


def test_the_sections_for_beam_are_configurations(tmp_path):
    shown = fences(parse("docs/deploy/beam.md"), "yaml")
    for fence in shown:
        (tmp_path / "run.yaml").write_text(fence.content)
        beam = load(tmp_path / "run.yaml", {}, ()).beam
        assert fence.content.startswith(f"# {beam.name}.yaml\n")
        assert beam.arguments(tmp_path)
    assert len(shown) == 3


def test_every_parameter_of_a_package_is_explained():
    (rows,) = tables(parse("docs/deploy/kubeflow.md"))
    compiled = (ROOT / "tests" / "pipeline" / "platforms" / "kubeflow" / "package.yaml").read_text()
    package, _ = yaml.safe_load_all(compiled)
    named = spans(cell for row in rows for cell in row[:1])
    assert set(named) == set(package["root"]["inputDefinitions"]["parameters"])


def of_the_recipe() -> list[str]:
    """The models that the page names beside it."""
    (command,) = (span for span in spans(parse("docs/guides/models.md")) if span.endswith("--config bars.yaml"))
    return command.split()[3].split(",")


def ids_without_meaning(rows: int, seed: int) -> InMemoryExamples:
    """Three columns of ids and a number. The label depends on the ids; the last id of each column is in no row."""
    random = np.random.default_rng(seed)
    ids = random.integers(49, size=(3, rows))
    return InMemoryExamples(
        {f"c{column}": tf.constant(values) for column, values in enumerate(ids)}
        | {
            "n": tf.constant(random.normal(size=rows), tf.float32),
            LABEL: tf.constant(ids.sum(axis=0) % 49 > 20, tf.float32),
            WEIGHT: tf.ones([rows]),
        }
    )


@pytest.mark.parametrize("model", of_the_recipe())
def test_the_recipe_trains_all_that_it_names(recipe, model, tmp_path):
    parts = ("wide", "deep")
    columns = [
        *(InputColumn(f"c{n}", "categorical", parts, size=50, width=4, table=f"c{n}") for n in range(3)),
        InputColumn("n", "numeric", parts),
    ]
    params = recipe.model_copy(update={"model": model, "epochs": 2})
    keras.utils.set_random_seed(params.seed)
    made = models.build(columns, params)
    tables = [*made.embedding_tables, *made.wide_tables]
    assert {table.shape for table in tables} <= {(150, 10), (150, 1)}
    for table in tables:  # those of the wide part begin at 0, which L2 leaves there
        table.assign_add(tf.ones(table.shape))
    before = [table.numpy() for table in tables]
    train, held_out = ids_without_meaning(9000, 1), ids_without_meaning(1000, 2)
    history = fit(made, params, train, held_out, str(tmp_path / "checkpoints"), lambda index, epoch: None)
    assert history.epochs[1].loss < history.epochs[0].loss
    # What is in no row is moved by the penalty 1e-5 / 2 · w² alone, by Adam, in each of an epoch's 3 steps.
    unseen, adam = keras.Variable(1.0), keras.optimizers.Adam(1e-3)
    for _ in range(3 * (history.best + 1)):
        adam.apply([1e-5 * unseen], [unseen])
    for table, old in zip(tables, before, strict=True):
        np.testing.assert_allclose((table.numpy() - old)[[49, 99, 149]], float(unseen) - 1, rtol=0.05)


# The example, as a newcomer would try it.


class Example(NamedTuple):
    folder: Path
    outputs: Mapping[str, str]
    """Command -> what it printed."""


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Example:
    """Runs the example's commands on its files, in the order of the page; only the ports are other ones."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.csv"))

    port, rest_port = portpicker.pick_unused_port(), portpicker.pick_unused_port()
    outputs = {}
    with contextlib.ExitStack() as running:
        for command, _ in console(parse(EXAMPLE)):
            if command.startswith("rankline serve"):
                with_ports = f"{command} --port {port} --rest-api-port {rest_port}"
                outputs[command] = running.enter_context(served(with_ports, folder, port))
            elif command.startswith("rankline rank"):
                outputs[command] = shell(f"{command} --target 127.0.0.1:{port}", folder)
            else:
                outputs[command] = shell(command, folder)
    return Example(folder, outputs)


def environment() -> dict[str, str]:
    """With `.venv` active."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["/bin/bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    assert done.stderr == "", f"{command}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def served(command: str, folder: Path, port: int) -> Iterator[str]:
    """Runs a server; gives what it has printed when it is ready."""
    log = folder / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            ["/bin/bash", "-c", f"exec {command}"], cwd=folder, env=environment(), stdout=output, stderr=output
        ) as server,
    ):
        try:
            with Client(f"127.0.0.1:{port}", "bookshop") as client:
                client.wait_until_available(TIMEOUT_S)
            yield log.read_text()
        finally:
            server.send_signal(signal.SIGTERM)


def shape(output: str) -> list[str]:
    """The lines of an output without what differs from run to run: numbers, widths, the books at the top."""
    output = re.sub(r"\d[\d.,:T]*\b", "0", output)
    output = re.sub(r"Of \w+ and \w+", "Of this and that", output)
    return [" ".join(re.sub("─+", "─", line).split()) for line in output.splitlines() if line.strip()]


SHOWN = console(parse(EXAMPLE))


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows an output, up to what differs from run to run. A line with dots alone stands for any."""
    pattern = re.escape("\n".join(shape(shown))).replace("…", ".*")
    return re.fullmatch(pattern, "\n".join(shape(printed)), re.DOTALL) is not None


@pytest.mark.parametrize("shown", SHOWN, ids=[shown.command.partition(" --")[0] for shown in SHOWN])
def test_the_example_prints_what_the_page_shows(example, shown):
    printed = example.outputs[shown.command].replace(str(example.folder), HOME)
    assert matches(shown.output, printed), printed


def test_a_reader_who_was_made_to_like_travel_gets_it(example):
    (command,) = (command for command in example.outputs if command.startswith("rankline rank"))
    best = re.findall("Of .*", example.outputs[command])
    assert len(best) == 5
    # Two books of five are about it, so five at random would have two.
    assert sum("travel" in title for title in best) > 3


@pytest.mark.parametrize(
    ("page", "last", "pattern"),
    [
        ("docs/deploy/tf-serving.md", "", r"\[0\.\d+\]"),
        (
            "docs/reference/python.md",
            "print(best, some)",
            r"\[Recommended\(item='b\d+', score=0\.\d+, title='Of .*'\), .*\] "
            r"\[Ranked\(index=\d, score=0\.\d+, known=True\), Ranked\(.*\)\]",
        ),
    ],
)
def test_a_client_gets_an_answer(example, tmp_path, page, last, pattern):
    (fence,) = fences(parse(page), "python")
    with Server(ServerOptions("bookshop", str(example.folder / "runs" / "bookshop" / "serving"))) as server:
        server.wait_until_available(TIMEOUT_S)
        program = fence.content.replace("127.0.0.1:8500", f"127.0.0.1:{server.port}") + last
        (tmp_path / "ask.py").write_text(program)
        asked = subprocess.run([sys.executable, "ask.py"], cwd=tmp_path, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    assert re.fullmatch(pattern, asked.stdout.strip()), asked.stdout


# Clients that are not ours.

CLIENT = ROOT / "examples" / "client"
CONTEXT = {"reader_id": "r3", "device": "phone"}


@pytest.fixture(scope="module")
def bookshop(example) -> Iterator[Server]:
    """A server of the example's model."""
    serving = example.folder / "runs" / "bookshop" / "serving"
    with Server(ServerOptions("bookshop", str(serving), rest_api_port=0)) as server:
        server.wait_until_available(TIMEOUT_S)
        yield server


def test_a_client_without_our_code_gets_the_answers_of_ours(example, bookshop, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    shown = console(parse("docs/deploy/tf-serving.md"))
    change, generate, ask = shown[[each.command for each in shown].index("cd examples/client") :][:3]
    folder = example.folder / change.command.removeprefix("cd ")
    shell(generate.command, folder)
    answered = shell(ask.command.replace("127.0.0.1:8500", f"127.0.0.1:{bookshop.port}"), folder)

    imported = {name for file in folder.glob("*.py") for name in imports(file)}
    assert imported == {"sys", "warnings", "grpc", "google", "predict_pb2", "predict_pb2_grpc"}
    assert matches(ask.output, answered), answered
    with Client(f"127.0.0.1:{bookshop.port}", "bookshop") as client:
        best = client.recommend(CONTEXT, k=5, exclude=["b60"])
        some = sorted(client.rank(CONTEXT, items=["b139", "b43", "b999"]), key=lambda each: each.index)
    assert answered.splitlines() == [
        *(f"recommended {each.item} {each.score:.4f}" for each in best),
        *(
            f"ranked {item} {each.score:.4f} {'known' if each.known else 'unknown'}"
            for item, each in zip(["b139", "b43", "b999"], some, strict=True)
        ),
    ]


def imports(file: Path) -> set[str]:
    """The packages that a program imports."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in named}


def test_the_part_of_the_api_is_as_in_the_whole(tmp_path):
    """Names, numbers and types of fields and values are those of TF Serving and TensorFlow."""
    out = tmp_path / "descriptors"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={CLIENT}", f"--descriptor_set_out={out}"]
    subprocess.run([*protoc, "predict.proto"], check=True, timeout=TIMEOUT_S)
    (file,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    whole: dict[str, type[Message]] = {
        "PredictRequest": predict_pb2.PredictRequest,
        "PredictResponse": predict_pb2.PredictResponse,
        "ModelSpec": model_pb2.ModelSpec,
        "TensorProto": tensor_pb2.TensorProto,
        "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
    }

    def fields(descriptor: descriptor_pb2.DescriptorProto) -> dict[tuple[str, str], tuple[object, ...]]:
        """By message and name; of the types that have a name, the last part."""
        found: dict[tuple[str, str], tuple[object, ...]] = {
            (descriptor.name, field.name): (field.number, field.type, field.label, field.type_name.split(".")[-1])
            for field in descriptor.field
        }
        for nested in descriptor.nested_type:
            found |= fields(nested)
        return found

    for message in file.message_type:
        official = descriptor_pb2.DescriptorProto()
        whole[message.name].DESCRIPTOR.CopyToProto(official)
        assert fields(message).items() <= fields(official).items()
    assert {message.name for message in file.message_type} == set(whole)
    (types,) = file.enum_type
    assert {value.name: value.number for value in types.value}.items() <= dict(types_pb2.DataType.items()).items()
    (service,) = file.service
    assert (file.package, service.name, [method.name for method in service.method]) == (
        "tensorflow.serving",
        "PredictionService",
        ["Predict"],
    )


def test_the_request_over_rest_gets_the_answer_of_our_client(bookshop):
    (command,) = fences(parse("docs/reference/server.md"), "sh")
    body = re.search("'(.*)'", command.content)[1]
    url = re.search(r"http://\S+", command.content)[0]
    address = url.replace("127.0.0.1:8501", f"127.0.0.1:{bookshop.rest_api_port}")
    with urllib.request.urlopen(address, body.encode(), timeout=TIMEOUT_S) as response:  # noqa: S310 (ours)
        outputs = json.load(response)["outputs"]

    with Client(f"127.0.0.1:{bookshop.port}", "bookshop") as client:
        best = client.recommend(CONTEXT, k=5)
    assert (outputs["items"], outputs["titles"]) == ([each.item for each in best], [each.title for each in best])
    assert outputs["probability"] == pytest.approx([each.score for each in best], rel=1e-6)


UNUSABLE = "prediction_service_pb2"


def test_a_module_of_the_stubs_cannot_be_imported_and_is_not():
    """Once it can, the page need not speak of it."""
    with pytest.raises(AttributeError, match="has_options"):
        importlib.import_module(f"tensorflow_serving.apis.{UNUSABLE}")
    folders = ("rankline", "pipeline", "components", "trainer", "schema", "serving", "notebooks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ipynb")]
    assert len(files) > 100
    assert [path for path in files if re.search(rf"\b{UNUSABLE}\b", path.read_text())] == []
    for page in PAGES:
        assert not any(re.search(rf"\b{UNUSABLE}\b", fence.content) for fence in fences(parse(page), "python")), page


def test_the_main_job_is_shown_as_it_looks_now(example):
    """Up to the lists, it looks like the example's run, but for a schema that need not be inferred."""
    (command,) = (command for command in example.outputs if command.startswith("rankline run"))
    like = [line for line in shape(example.outputs[command]) if not line.startswith("No schema.pbtxt")]
    full, brief = (
        shown.output
        for page in ("docs/start/first-run.md", "README.md")
        for shown in console(parse(page))
        if shown.command == "make run"
    )
    shown = full.replace("movielens", "bookshop").replace("user_id", "reader_id")
    assert shape(shown.partition("Ranked over gRPC")[0]) == like
    assert matches(brief, full)


def test_a_run_writes_where_the_page_says(example):
    (tree,) = fences(parse("docs/start/first-run.md"), "text")
    for line in tree.content.splitlines():
        place, _, content = line.partition(" ")
        found = list(example.folder.glob(re.sub("<.*?>", "*", place.replace("<dataset>", "bookshop")).rstrip("/")))
        assert found, place
        for name in re.findall(r"\w+\.\w+", content):
            assert any((folder / name).exists() for folder in found), f"{name} in {place}"
