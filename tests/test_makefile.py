"""The Makefile: `make` lists its targets, and CI runs what a person would."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import portpicker
import pytest

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


class Vulnerabilities(BaseHTTPRequestHandler):
    """Answers as OSV does; it knows of one vulnerability, in click."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        affected = [{"package": {"name": "click", "ecosystem": "PyPI"}, "ranges": []}]
        known = {"vulns": [{"id": "GHSA-of-a-test", "details": "", "aliases": [], "affected": affected}]}
        content = json.dumps(known if query["package"]["name"] == "click" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vulnerabilities)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(osv: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--old-file=setup", "audit", f"bin={Path(sys.executable).parent}", f"osv={osv}"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails_the_audit(osv):
    done = audit(osv)
    assert done.returncode != 0
    assert "Found 1 known vulnerability in 1 package" in done.stderr
    assert re.search(r"^click +\S+ +GHSA-of-a-test", done.stdout, re.MULTILINE)


def test_where_the_database_cannot_be_asked_the_audit_says_so_and_passes():
    nobody = f"http://127.0.0.1:{portpicker.pick_unused_port()}"
    done = audit(nobody)
    assert done.returncode == 0
    assert done.stderr == f"audit: {nobody} cannot be asked, so nothing is known of the packages' vulnerabilities\n"
