"""The wheel: it works outside of the repository, and names another package that is in its way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from rankline._neighbours import PACKAGES

ROOT = Path(__file__).parent.parent.parent
_NOT_INSTALLED = ("deploy", "__pycache__")
"""Folders within the packages: what is handed to `kubectl` is taken from the repository."""


def python(folder: Path, *arguments: str, before: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python in an empty folder: what is in `before`, then what is installed in `folder`, come first."""
    empty = folder.parent / "empty"
    empty.mkdir(exist_ok=True)
    path = os.pathsep.join(map(str, [*([before] if before else []), folder, sysconfig.get_path("purelib")]))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=empty, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("rankline", *PACKAGES):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(built), str(source))
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "site"
    _pip("install", "--target", str(folder), str(wheel))
    return folder


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run([*command, "--no-deps", "--no-index"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_it_has_all_that_the_packages_have_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        have = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path.relative_to(ROOT) for name in ("rankline", *PACKAGES) for path in (ROOT / name).rglob("*"))
    want = {str(path) for path in files if (ROOT / path).is_file() and not set(path.parts) & set(_NOT_INSTALLED)}
    assert have == want
    assert {f"{name}/py.typed" for name in ("rankline", *PACKAGES)} <= have


@pytest.mark.long
def test_it_works_without_the_repository(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "features.yaml").write_text("name: tiny\nlabel: {column: bought}\nfeatures:\n  book:\n")
    rows = [f"b{number % 7},{number % 2}" for number in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(["book,bought", *rows, ""]))
    done = python(
        installed,
        "-c",
        f"import rankline; print(rankline.__file__); found = rankline.validate({str(tmp_path)!r}); "
        "print(found.name, sum(size.rows for size in found.splits.values()))",
    )
    assert (done.stdout.splitlines(), done.stderr) == ([f"{installed}/rankline/__init__.py", "tiny 300"], "")

    for start in (["-m", "rankline"], [str(installed / "bin" / "rankline")]):
        done = python(installed, *start, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "validate" in done.stdout


@pytest.fixture(params=["package", "module", "imported"])
def in_the_way(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A way to be in the way: a folder that comes first on the path, and what is run before the import."""
    return tmp_path, request.param


@pytest.mark.parametrize("name", PACKAGES)
def test_another_package_of_that_name_is_told(name: str, in_the_way: tuple[Path, str]) -> None:
    folder, way = in_the_way
    file = folder / f"{name}.py" if way != "package" else folder / name / "__init__.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("class Schema: ...\n")
    first = f"import {name}; " if way == "imported" else ""
    done = python(ROOT, "-c", f"{first}import rankline", before=folder)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"schema.errors.RanklineError: {name}: expected Rankline's own package, {ROOT / name / '__init__.py'}, "
        f"received {file}, which is in its way; install Rankline into an environment of its own, without that on "
        "PYTHONPATH or in the folder that Python is started in"
    )
