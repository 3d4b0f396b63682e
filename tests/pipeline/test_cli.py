"""The commands and their help."""

import errno
import subprocess
import sys

import click
import pytest

from pipeline.cli import cli
from trainer import models

COMMANDS = sorted(cli.commands)


def python(program: str) -> str:
    """What a program shows that is a process of its own, since this is about what is imported."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_help_names_every_command(rankline):
    done = rankline("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert listed == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained_without_loading_tensorflow(name):
    done = python(
        "import sys; from pipeline.cli import cli; "
        f"cli.main([{name!r}, '--help'], standalone_mode=False); "
        "print([module for module in ('tensorflow', 'tfx', 'apache_beam', 'pyarrow') if module in sys.modules])"
    )
    command = cli.commands[name]

    assert done.splitlines()[-1] == "[]"
    assert command.help.splitlines()[0] in done
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.opts[0] in done
        else:
            assert parameter.metavar in done.splitlines()[0]


def test_datasets(rankline):
    done = rankline("datasets")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["census", "criteo", "movielens", "movielens_days"]


def test_runs_before_there_are_any(tmp_path, rankline):
    done = rankline("runs", "--root", str(tmp_path / "none"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "No runs yet: `rankline run` makes one.\n", "")


def test_validate_shows_what_every_column_becomes(tmp_path, rankline):
    description = """
label: {column: stars, positive: ">= 4"}
ranking: {group: user, item: movie}
features: {user: , price: {type: numeric, buckets: 4}}
crosses: [{columns: [user, price]}]
ignore: [comment]
"""
    rows = [f"{1 + row % 5},u{row % 3},m{row % 50},{row / 10},fine" for row in range(200)]
    (tmp_path / "features.yaml").write_text(description)
    (tmp_path / "log.csv").write_text("\n".join(["stars,user,movie,price,comment", *rows, ""]))
    done = rankline("validate", "--dataset", str(tmp_path))
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    cells = {line[1].strip(): [cell.strip() for cell in line[2:] if cell.strip()] for line in lines if len(line) > 2}

    assert (done.returncode, done.stderr) == (0, "")
    # A vocabulary, one id for others, one for missing; width 6 · 5^¼ = 8.97, up to a multiple of 4.
    assert cells["user"] == ["string", "3 tokens + 1 for others + 1 for missing", "5", "12", "wide, deep"]
    assert cells["price"] == ["float", "z-score, 4 buckets + 1 for missing", "5", "1", "wide, deep"]
    assert cells["stars"] == ["label, positive: >= 4"]
    assert cells["comment"] == ["ignored"]
    assert cells["user_x_price"][0] == "user × price"
    sizes = {name: int(cells[name][0]) for name in ("train", "eval", "test")}
    assert sum(sizes.values()) == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "wide_dep"], f"train.model: expected one of {', '.join(models.names())}, received 'wide_dep'; "
         "did you mean 'wide_deep'?"),
        (["--set", "train.epochs=none"], "configuration: train.epochs: expected a whole number, received 'none'"),
        (["--config", "none.yaml"], "none.yaml: expected a file, found none"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_begin_is_one_paragraph(tmp_path, rankline, arguments, message):
    (tmp_path / "features.yaml").write_text("label: y\n")
    (tmp_path / "log.csv").write_text("y,x\n1,2\n0,3\n")
    done = rankline("run", "--dataset", str(tmp_path), "--root", str(tmp_path / "runs"), *arguments)
    assert (done.returncode, done.stderr) == (1, f"Error: {message}\n")
    assert not (tmp_path / "runs" / tmp_path.name / "artifacts").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b.json"), "a/b.json: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), "the disk: Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), "a.csv: Permission denied"),
    ],
)
def test_what_the_disk_refuses_is_one_paragraph(monkeypatch, rankline, error, message):
    def refuse() -> None:
        raise error

    monkeypatch.setattr(cli.commands["datasets"], "callback", refuse)
    done = rankline("datasets")
    assert (done.returncode, done.stderr) == (1, f"Error: {message}\n")


def test_a_mistake_of_ours_is_not_taken_for_the_disks(monkeypatch, rankline):
    def fail() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    monkeypatch.setattr(cli.commands["datasets"], "callback", fail)
    with pytest.raises(FileNotFoundError):
        rankline("datasets")
