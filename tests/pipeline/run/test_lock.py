import os
import signal
import subprocess
import sys

import pytest

from pipeline.run.layout import Layout
from pipeline.run.lock import locked
from schema.errors import RanklineError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.run.layout import Layout
from pipeline.run.lock import locked
with locked(Layout(Path(sys.argv[1]), "toys"), "1"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path):
    layout = Layout(tmp_path, "toys")
    refused = (
        rf"^{tmp_path}/toys: expected no other run on toys in this root, received run first of process {os.getpid()}; "
        r"wait for its end, or choose another --root$"
    )
    with locked(layout, "first"), pytest.raises(RanklineError, match=refused), locked(layout, "second"):
        pass
    with locked(layout, "third"):
        assert layout.lock.read_text() == f"run third of process {os.getpid()}\n"


def test_other_datasets_and_other_roots_are_free(tmp_path):
    layouts = [Layout(tmp_path, "toys"), Layout(tmp_path, "books"), Layout(tmp_path / "other", "toys")]
    with locked(layouts[0], "1"), locked(layouts[1], "2"), locked(layouts[2], "3"):
        pass


def test_a_failed_run_leaves_no_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(Layout(tmp_path, "toys"), "1"):
        raise ZeroDivisionError
    with locked(Layout(tmp_path, "toys"), "2"):
        pass


def test_a_killed_run_leaves_no_lock(tmp_path):
    layout = Layout(tmp_path, "toys")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        received = f"received run 1 of process {holder.pid};"
        with pytest.raises(RanklineError, match=received), locked(layout, "2"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(layout, "3"):
        pass
