"""setup.sh on machines made of stand-ins for Python, pip and the system's tools, and the real locks."""

import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TOOLS = "awk bash cat cp cut dirname env find flock grep id mkdir mv rm sed sha256sum sleep tail wc"

# A Python that makes an environment holding a copy of itself, and whose pip records how it was called.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    --version) echo Python 3.11.2 ;;
    *_base_executable*) echo "$0" ;;
    *sysconfig*) echo {include} ;;
    "-m venv"*) mkdir -p "${{@: -1}}/bin"; cp "$0" "${{@: -1}}/bin/python" ;;
    "-m pip"*)
        echo "${{*:3}}" >>{calls}
        if [ -e {broken} ]; then echo "ERROR: No space left"; echo "ERROR: on device"; exit 1; fi >&2 ;;
esac
"""
INSTALL = "install --disable-pip-version-check --no-deps --no-build-isolation"
FIRST = f"{INSTALL} --require-hashes -r .venv/build/first.txt"
LOCK = f"{INSTALL} --require-hashes -r requirements.lock"
GPU_LOCK = f"{INSTALL} --require-hashes -r requirements-gpu.lock"
PROJECT = [f"{INSTALL} -e .", "check"]


class Machine:
    """A checkout of the project on a machine with nothing but `bin` on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.calls_file = folder / "calls"
        self.pip_is_broken = folder / "broken"
        include = folder / "include" / "python3.11"
        for made in (self.checkout, self.bin, include):
            made.mkdir(parents=True)
        for name in ("setup.sh", "pyproject.toml", "requirements.lock", "requirements-gpu.lock"):
            shutil.copy(ROOT / name, self.checkout)
        for tool in TOOLS.split():
            found = shutil.which(tool)
            assert found, f"this machine has no {tool}, which setup.sh needs"
            (self.bin / tool).symlink_to(found)
        self.header = include / "Python.h"
        self.header.touch()
        self.tool("uname", "echo Linux x86_64")
        self.tool("getconf", "echo glibc 2.41")
        self.tool("c++", "")
        self.python = self.tool("python3.11", "")
        self.python.write_text(PYTHON.format(include=include, calls=self.calls_file, broken=self.pip_is_broken))

    def tool(self, name: str, body: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)
        return path

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "setup.sh"],
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self, **environment: str) -> list[str]:
        """How a successful setup called pip."""
        self.calls_file.write_text("")
        done = self.setup(**environment)
        assert done.returncode == 0, done.stderr
        return self.calls_file.read_text().splitlines()

    def error(self, **environment: str) -> str:
        """What a setup said that could not start: no environment is left behind, half-made or whole."""
        done = self.setup(**environment)
        assert done.returncode == 1
        assert not (self.checkout / ".venv" / ".installed").exists()
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_lock_is_installed_by_its_own_pip_then_the_project(machine: Machine) -> None:
    assert machine.calls() == [FIRST, LOCK, *PROJECT]
    assert not (machine.checkout / ".venv" / "build").exists()


def test_pip_and_setuptools_are_taken_from_the_lock_with_their_hashes(machine: Machine) -> None:
    machine.python.write_text(
        machine.python.read_text() + f"if [[ $* == *first.txt ]]; then cp {FIRST.split()[-1]} first; fi\n"
    )
    machine.calls()
    lines = (machine.checkout / "first").read_text().splitlines()
    assert [line.split("==")[0] for line in lines if "==" in line] == ["pip", "setuptools"]
    assert all("--hash=sha256:" in line for line in lines if "==" not in line)


def test_a_finished_environment_is_left_alone_in_silence(machine: Machine) -> None:
    machine.calls()
    assert machine.calls() == []
    assert machine.setup().stderr == ""


def test_a_changed_project_is_installed_again_into_the_same_environment(machine: Machine) -> None:
    machine.calls()
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert machine.calls() == PROJECT


@pytest.mark.parametrize("name", ["requirements.lock", "setup.sh"])
def test_a_changed_lock_or_script_makes_a_new_environment(machine: Machine, name: str) -> None:
    machine.calls()
    leftover = machine.checkout / ".venv" / "leftover"
    leftover.touch()
    with (machine.checkout / name).open("a") as file:
        file.write("# changed\n")
    assert machine.calls() == [FIRST, LOCK, *PROJECT]
    assert not leftover.exists()


def test_a_moved_checkout_makes_a_new_environment(machine: Machine) -> None:
    machine.calls()
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved here"))
    assert machine.calls() == [FIRST, LOCK, *PROJECT]


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.calls()
    (machine.checkout / ".venv" / "bin" / "python").unlink()
    assert machine.calls() == [FIRST, LOCK, *PROJECT]


def test_an_error_of_pip_is_shown_whole_and_the_next_run_starts_anew(machine: Machine) -> None:
    machine.pip_is_broken.touch()
    assert "ERROR: No space left\nERROR: on device\n" in machine.error()
    machine.pip_is_broken.unlink()
    assert machine.calls() == [FIRST, LOCK, *PROJECT]


def test_cuda_wheels_come_with_gpu_1_and_stay_until_gpu_0(machine: Machine) -> None:
    assert machine.calls(GPU="1") == [FIRST, LOCK, GPU_LOCK, *PROJECT]
    assert machine.calls() == machine.calls(GPU="") == machine.calls(GPU="1") == []
    assert machine.calls(GPU="0") == [FIRST, LOCK, *PROJECT]
    assert machine.calls() == []


def test_gpu_must_be_0_or_1(machine: Machine) -> None:
    assert machine.error(GPU="yes") == "setup: expected GPU=1 or GPU=0, got GPU=yes\n"


def test_a_constraint_of_the_machine_does_not_reach_pip(machine: Machine) -> None:
    machine.python.write_text(
        machine.python.read_text() + f"env | grep -E '^PIP_|^PYTHONPATH=.' >{machine.calls_file}.env\n"
    )
    machine.calls(
        PIP_CONSTRAINT="/c.txt", PIP_USER="1", PIP_TARGET="/t", PIP_INDEX_URL="http://mirror", PYTHONPATH="/p"
    )
    seen = Path(f"{machine.calls_file}.env").read_text().splitlines()
    assert {"PIP_CONSTRAINT=/dev/null", "PIP_USER=0", "PIP_INDEX_URL=http://mirror"} <= set(seen)
    assert not [line for line in seen if line.startswith(("PIP_TARGET", "PYTHONPATH"))]


def test_no_python(machine: Machine) -> None:
    machine.python.unlink()
    message = machine.error()
    assert message.startswith("setup: expected Python 3.11, 3.12 or 3.13, found none. Install one")
    assert "PYTHON=/path/to/python3.11 ./setup.sh" in message


def test_the_named_python_is_used_or_refused_never_replaced(machine: Machine) -> None:
    other = machine.tool("another", machine.python.read_text())
    machine.python.unlink()
    assert machine.calls(PYTHON=str(other)) == [FIRST, LOCK, *PROJECT]

    old = machine.tool("old", 'if [ "$1" = --version ]; then echo Python 3.9.1; fi')
    (machine.checkout / "setup.sh").touch()
    shutil.rmtree(machine.checkout / ".venv")
    assert f"expected Python 3.11, 3.12 or 3.13 at {old}, found Python 3.9.1." in machine.error(PYTHON=str(old))


def test_another_processor(machine: Machine) -> None:
    machine.tool("uname", "echo Linux aarch64")
    assert machine.error().endswith("found Linux aarch64\n")


def test_another_c_library(machine: Machine) -> None:
    machine.tool("getconf", "exit 1")
    assert "expected a Linux with glibc" in machine.error()


def test_an_old_glibc_without_apt(machine: Machine) -> None:
    machine.tool("getconf", "echo glibc 2.31")
    assert "this system's glibc is 2.31, and TFX needs 2.39 or newer" in machine.error()


def test_no_headers_without_apt(machine: Machine) -> None:
    machine.header.unlink()
    assert f"expected {machine.python} to have ensurepip and {machine.header}" in machine.error()


def test_without_a_compiler_a_pinned_one_is_fetched(machine: Machine) -> None:
    (machine.bin / "c++").unlink()
    assert machine.calls() == [
        FIRST,
        f"{INSTALL} --require-hashes --target .venv/build/zig -r /dev/stdin",
        LOCK,
        *PROJECT,
    ]


def locked(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """The requirements of a lock that hold for this Python, each with its hashes."""
    entries = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    for entry in entries:
        if entry and not entry.startswith((" ", "#")):
            requirement, *hashes = entry.split(" --hash=")
            parsed = Requirement(requirement)
            if parsed.marker is None or parsed.marker.evaluate():
                yield parsed, hashes


def versions(name: str) -> dict[str, str]:
    return {canonicalize_name(entry.name): str(entry.specifier).removeprefix("==") for entry, _ in locked(name)}


def test_this_environment_is_exactly_the_lock() -> None:
    # Not all of sys.path: setuptools, once imported, adds a folder with packages of its own.
    found = metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed: dict[str, str] = {canonicalize_name(one.name): one.version for one in found}
    locks = versions("requirements.lock")
    assert {name: installed.get(name) for name in locks} == locks
    assert installed.keys() - locks.keys() <= {"rankline", *versions("requirements-gpu.lock")}


def test_every_locked_package_has_hashes() -> None:
    for name in ("requirements.lock", "requirements-gpu.lock"):
        assert all(hashes and all(h.startswith("sha256:") for h in hashes) for _, hashes in locked(name))


def test_the_lock_meets_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locks = versions("requirements.lock")
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["dev"], *extras["kubeflow"]]:
        wanted = Requirement(line)
        if wanted.name == project["name"]:
            continue  # an extra that includes another, whose lines are here as well
        assert wanted.specifier.contains(locks[canonicalize_name(wanted.name)]), line


def test_the_gpu_lock_is_what_tensorflow_asks_for_with_cuda_and_changes_no_other_version() -> None:
    cuda = versions("requirements-gpu.lock")
    assert not cuda.keys() & versions("requirements.lock").keys()
    asked = [Requirement(line) for line in metadata.requires("tensorflow") or []]
    asked = [
        one for one in asked if one.marker and "extra" in str(one.marker) and one.marker.evaluate({"extra": "and-cuda"})
    ]
    assert asked
    for one in asked:
        assert one.specifier.contains(cuda[canonicalize_name(one.name)]), str(one)
