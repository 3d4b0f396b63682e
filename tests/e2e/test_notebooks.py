"""The notebooks, run from top to bottom on a user's small dataset; and their stored form."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbmake.nb_run import NotebookRun

from rankline._neighbours import PACKAGES
from tests.e2e.conftest import TIMEOUT_S, Stranger

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
EXPLORE, COMPARE, EVALUATION, SERVER = NOTEBOOKS


@pytest.fixture(scope="module")
def run(stranger: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs a notebook on the stranger's run, which must draw so many pictures, and gives the texts of its outputs.

    What a notebook writes goes beside a copy of the metadata and of what was pushed, since other tests count the runs.
    """
    root = tmp_path_factory.mktemp("notebooks") / "runs"
    root.mkdir()
    shutil.copy(stranger.root.path / "metadata.sqlite", root)
    shutil.copytree(stranger.root.serving, root / "stranger" / "serving")
    configuration = root / "run.yaml"
    content = {"dataset": str(stranger.folder), "root": str(root), "train": {"epochs": 2, "batch_size": 64}}
    configuration.write_text(yaml.safe_dump(content))

    def execute(path: Path, pictures: int) -> str:
        # By this the kernel would know that pytest looks on, and leave out what is written past Python.
        patch.delenv("PYTEST_CURRENT_TEST")
        result = NotebookRun(path, TIMEOUT_S).execute()
        assert result.error is None, result.error.trace
        assert sum("image/png" in output.get("data", ()) for output in outputs(result.nb)) == pictures
        return "".join(said(result.nb))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANKLINE_CONFIG", str(configuration))
        yield execute


def said(notebook: NotebookNode) -> Iterator[str]:
    """The texts of all outputs. There are no warnings among them, and nothing that only a browser's script can show."""
    for output in outputs(notebook):
        if output.output_type == "stream":
            assert output.name == "stdout", output.text
            yield output.text
        else:
            assert not any("widget" in kind or "javascript" in kind for kind in output.data)
            yield output.data.get("text/html", output.data["text/plain"])


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def test_exploring(run) -> None:
    text = run(EXPLORE, pictures=2)
    assert "test: 0 anomalies" in text
    assert "Column dropped" in text
    for column in ("user", "movie", "tags", "price"):
        assert column in text


def test_comparing(run) -> None:
    text = run(COMPARE, pictures=1)
    assert "stranger: test split, 3 seeds" in text
    # What the run has transformed is taken from it.
    assert text.count("unchanged") == 5
    assert "\x1b" not in text


def test_reading_an_evaluation(run, stranger) -> None:
    text = run(EVALUATION, pictures=3)
    assert "wide_deep on stranger" in text
    assert "Blessed." in text
    assert "at least 0.55" in text


def test_querying_the_server(run, stranger) -> None:
    text = run(SERVER, pictures=1)
    (version,) = stranger.root.versions()
    assert f"Version {version} is served" in text
    assert "did you mean 'user'" in text
    assert text.count("NotFoundError") == 2
    assert "UnavailableError: nobody listens at 127.0.0.1:1" in text
    assert "requests were answered meanwhile, and none failed" in text
    assert str(int(version) + 1) in text
    assert stranger.root.versions() == [version]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_it_is_stored_as_it_is_written(path: Path) -> None:
    """Without what a run has left in it, as version control wants it, for the plain kernel of any environment."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert path.read_text() == nbformat.writes(notebook, indent=1) + "\n"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_it_uses_nothing_of_ours_but_the_face(path: Path) -> None:
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    code = "\n".join(line for cell in cells for line in cell.splitlines() if not line.startswith("%"))
    imported = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert "rankline" in imported
    assert imported.isdisjoint(PACKAGES)


def test_each_begins_with_a_question_and_ends_with_what_it_means() -> None:
    for number, path in enumerate(NOTEBOOKS, start=1):
        cells = nbformat.read(path, as_version=4).cells
        assert cells[0].source.startswith(f"# {number}. ")
        assert "?**" in cells[0].source
        assert cells[-1].source.startswith("## What it means")


def test_links_between_them_lead_somewhere() -> None:
    for path, following in pairwise(NOTEBOOKS):
        assert f"]({following.name})" in nbformat.read(path, as_version=4).cells[-1].source
