"""The way in: `make` says what there is, and CI runs what a person would."""

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_help_lists_every_target_with_a_word_about_it():
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)  # noqa: S607
    listed = re.findall(r"^  make (\S+) +(\S.*)$", done.stdout, re.MULTILINE)

    assert [name for name, _ in listed] == targets == phony.split()


def test_make_alone_is_make_help():
    done = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=True)  # noqa: S607
    assert "make run" in done.stdout


def test_ci_runs_the_tests_and_the_linters_that_people_run():
    commands = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert {"make lint", "make test", "make test-flink"} <= set(commands)
    assert "set -euo pipefail" in commands
