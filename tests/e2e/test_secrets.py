"""Secrets in a run's environment, which no file or log may contain."""

from tests.e2e.conftest import SECRET, files_that_tell


def test_a_run_tells_no_secret_of_its_environment(stranger):
    """In its logs, artifacts, metadata, models or on the terminal; killed or not."""
    assert files_that_tell(stranger.root.path, SECRET) == []
    assert all(SECRET not in done.stdout + done.stderr for done in stranger.root.done)
    assert len(list(stranger.root.path.glob("*/logs/*/run.log"))) >= 2


def test_it_would_be_found(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "run.log").write_text(f"password={SECRET}\n")
    assert files_that_tell(tmp_path, SECRET) == [tmp_path / "logs" / "run.log"]
