"""The output on the terminal and in a file. Tests run a small program, since descriptors belong to a process."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, logging, os, sys, warnings
from pathlib import Path
from pipeline.terminal.console import busy, quiet

def make_noise():
    print("printed")
    print("to stderr", file=sys.stderr)
    warnings.warn("warned")
    logging.getLogger("library").info("logged")
    os.write(2, b"from C++\\n")
    os.system("echo from a subprocess")

with quiet(Path(sys.argv[1])) as console:
    console.print("[bold]ours[/]")
    with busy(console, "at work"):
        make_noise()
print("after")
print("after, to stderr", file=sys.stderr)
logging.getLogger("library").info("not shown by default")
"""
NOISE = ["printed", "to stderr", "UserWarning: warned", "I library: logged", "from C++", "from a subprocess"]


def test_noise_goes_to_the_log_and_our_lines_to_standard_output(tmp_path):
    log = tmp_path / "new folder" / "run.log"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(log)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "ours\nafter\n"
    assert done.stderr == "after, to stderr\n"
    assert [text for text in NOISE if text not in log.read_text()] == []


def test_noise_does_not_reach_a_terminal_that_shows_a_spinner(tmp_path, on_terminal):
    log = tmp_path / "run.log"
    done = on_terminal([sys.executable, "-c", PROGRAM, str(log)])
    shown = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 0
    assert {line for line in shown if "at work" not in line} == {"ours", "after", "after, to stderr"}
    assert "⠋ at work" in shown
    assert [noise for noise in NOISE if noise not in log.read_text()] == []


def test_an_error_leaves_standard_output_and_error_as_they_were(tmp_path):
    program = """
import sys
from pathlib import Path
from pipeline.terminal.console import quiet
try:
    with quiet(Path(sys.argv[1])) as console:
        raise RuntimeError("in it")
except RuntimeError as error:
    print("caught", error)
    print("seen", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "log")], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("caught in it\n", "seen\n")


@pytest.mark.parametrize("columns", ["40", "200"])
def test_lines_are_not_broken_where_there_is_no_terminal(columns):
    program = "from pipeline.terminal.console import console; console().print('word ' * 40)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "COLUMNS": columns},
    )  # fmt: skip
    assert done.stdout == "word " * 40 + "\n"


FULL_DISK = """
import logging, os, sys
from pathlib import Path
from pipeline.terminal.console import quiet
from schema.errors import RanklineError
sys.stdout = open(1, "w", closefd=False)  # buffered, whatever the environment says
try:
    with quiet(Path("/dev/full")):
        print("printed")
        logging.getLogger("library").info("logged")
        raise RanklineError("the reason")
except RanklineError as error:
    print(error)
"""


def test_a_full_disk_hides_no_error():
    """What is written to /dev/full fails as on a full disk."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("the reason\n")
