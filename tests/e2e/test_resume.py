"""A run that is killed during training, then the same command again; and its output."""

import re
import signal

from tests.pipeline.consistency import check_metadata

UNTIL_TRAINER = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform"]


def progress(stdout: str) -> dict[str, str]:
    """Component -> what its progress line says of it."""
    lines = re.findall(r"^  [✓=✗-] (\w+) +(unchanged|skipped|[\d.]+ s)", stdout, re.MULTILINE)
    return dict(lines)


def test_the_first_run_was_killed_in_its_training(stranger):
    killed, _ = stranger.root.done
    assert killed.returncode == -signal.SIGKILL
    assert killed.stderr == ""
    assert list(progress(killed.stdout)) == UNTIL_TRAINER


def test_the_second_run_takes_what_was_done_and_completes(stranger):
    _, done = stranger.root.done
    said = progress(done.stdout)

    assert [name for name, word in said.items() if word == "unchanged"] == UNTIL_TRAINER
    assert {"Trainer", "Evaluator", "InfraCheck", "Pusher"} <= set(said)
    assert f"Reused {len(UNTIL_TRAINER)} components" in done.stdout
    assert len(stranger.root.versions()) == 1
    assert done.stderr == ""


def test_training_goes_on_where_it_was(stranger):
    killed, resumed = (folder / "run.log" for folder in stranger.root.logs()[:2])
    assert "epoch 2:" in killed.read_text()
    (after,) = re.findall(r"going on after epoch (\d+)", resumed.read_text())
    assert 1 <= int(after) < 20


def test_an_interrupted_run_is_listed_as_such(stranger, rankline):
    listed = rankline("runs", "--root", str(stranger.root.path)).stdout.splitlines()
    killed, done = (next(line for line in listed if folder.name in line) for folder in stranger.root.logs()[:2])
    (version,) = stranger.root.versions()
    assert killed.split() == [stranger.root.logs()[0].name, "stranger", "wide_deep", "unfinished:", "Trainer"]
    assert done.split()[-2:] == ["yes", version]


def test_a_schema_was_inferred_and_the_run_says_where_it_is(stranger):
    _, done = stranger.root.done
    path = stranger.root.logs()[1] / "schema.pbtxt"
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("No schema.pbtxt in ")]
    assert str(stranger.folder) in line
    assert str(path) in line
    assert 'name: "price"' in path.read_text()


def test_metadata_is_whole_after_the_kill(stranger):
    """One execution, the killed training, still counts as running; which stops nobody."""
    check_metadata(stranger.root.path / "metadata.sqlite", killed=1)
