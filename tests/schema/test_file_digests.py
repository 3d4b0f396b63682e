"""A file's content is read once, and again when it may have changed."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from schema import file_digests as module
from schema.file_digests import file_digests


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in a world where a change long ago is one before now."""
    found: list[str] = []
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda path: found.append(path.name) or digest(path))
    monkeypatch.setattr(module, "_SETTLED_NS", -1_000_000_000)
    monkeypatch.setenv("RANKLINE_CACHE", str(tmp_path / "cache"))
    return found


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("a", "b", "c")]
    for path in found:
        path.write_text(f"content of {path.name}")
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_file_is_read_once(reads, paths):
    for _ in range(2):
        assert file_digests(paths) == {path: sha256(path) for path in paths}
        assert sorted(reads) == ["a", "b", "c"]
    paths[1].write_text("another content")
    assert file_digests(paths)[paths[1]] == sha256(paths[1])
    assert sorted(reads) == ["a", "b", "b", "c"]


def test_a_file_of_the_same_size_and_time_is_read_again(reads, paths):
    before = file_digests(paths)
    stat = paths[0].stat()
    paths[0].write_text("Content of a")
    os.utime(paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file_digests(paths)[paths[0]] == sha256(paths[0]) != before[paths[0]]


def test_what_was_changed_a_moment_ago_is_not_kept(reads, paths, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_SETTLED_NS", 3600 * 10**9)
    file_digests(paths)
    file_digests(paths)
    assert len(reads) == 6
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kept", ["", "{", "[]", "3", '{"a": 3}', '{"a": {"state": 1, "digest": 2}}', b"\xff"])
def test_a_damaged_cache_is_none(reads, paths, tmp_path, kept):
    file_digests(paths)
    cache = tmp_path / "cache" / "digests.json"
    cache.write_bytes(kept if isinstance(kept, bytes) else kept.encode())
    assert file_digests(paths) == {path: sha256(path) for path in paths}
    assert len(reads) == 6
    assert set(json.loads(cache.read_text())) == {str(path) for path in paths}


def test_without_a_place_for_the_cache_files_are_read_again(reads, paths, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    for _ in range(2):
        assert file_digests(paths) == {path: sha256(path) for path in paths}
    assert len(reads) == 6


def test_what_is_gone_is_forgotten(reads, paths, tmp_path):
    file_digests(paths)
    paths[0].unlink()
    paths[1].write_text("another content")
    file_digests(paths[1:])
    kept = json.loads((tmp_path / "cache" / "digests.json").read_text())
    assert set(kept) == {str(path) for path in paths[1:]}


def test_several_at_once(reads, paths):
    found: list[dict[Path, str]] = []
    threads = [threading.Thread(target=lambda: found.append(file_digests(paths))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{path: sha256(path) for path in paths}] * 8
