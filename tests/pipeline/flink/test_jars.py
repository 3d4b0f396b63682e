"""The jars of Flink, compared with their known digests."""

import hashlib
import re

import pytest

from pipeline.flink import jars as module
from schema.errors import DataError, RanklineError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def maven(tmp_path, monkeypatch):
    """Puts a program in the place of Maven, given its lines; `$1` is the folder for the jars."""

    def put(*lines: str) -> None:
        program = tmp_path / "bin" / "mvn"
        program.parent.mkdir()
        program.write_text(
            "\n".join(["#!/bin/sh", 'for last; do :; done; set -- "${last#-DoutputDirectory=}"', *lines])
        )
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return put


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Of one jar, with the content `good`."""
    file = tmp_path / "jars.sha256"
    file.write_text(f"{hashlib.sha256(b'good').hexdigest()}  flink.jar\n")
    monkeypatch.setattr(module, "_LOCK", file)


def test_the_lock_has_what_is_asked_for():
    locked = module._LOCK.read_text()
    asked = re.findall(
        r"<artifactId>(.*)</artifactId>\s*<version>(.*)</version>\s*</dependency>", module._POM.read_text()
    )
    assert len(asked) > 1
    for artifact, version in asked:
        assert re.search(rf"^[0-9a-f]{{64}}  {artifact}-{version}\.jar$", locked, re.MULTILINE)


def test_jars_are_fetched_once(lock, maven, cache):
    maven('printf good >"$1/flink.jar"', f'echo >>"{cache}/calls"')
    folder = module.jars()
    assert module.jars() == folder
    assert [path.read_text() for path in folder.iterdir()] == ["good"]
    assert (cache / "calls").read_text() == "\n"


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (['printf bad >"$1/flink.jar"'], "flink.jar"),
        (['printf good >"$1/flink.jar"', 'printf good >"$1/other.jar"'], "other.jar"),
        ([], "flink.jar"),
    ],
    ids=["another content", "one too many", "none"],
)
def test_other_jars_are_refused(lock, maven, cache, lines, wrong):
    maven(*lines)
    with pytest.raises(DataError, match=rf"^expected the files of jars\.sha256 .*: {wrong}$"):
        module.jars()
    assert list(cache.iterdir()) == []


def test_what_maven_says(lock, maven):
    maven('echo "[INFO] so far"; echo "[ERROR] Could not find artifact flink"; exit 1')
    with pytest.raises(RanklineError, match=r"from Maven, received: Could not find artifact flink$"):
        module.jars()


def test_no_maven(lock, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RanklineError, match=r"^expected Maven .*found none"):
        module.jars()
