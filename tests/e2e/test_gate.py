"""Models that are not good enough: not blessed, not pushed, with reasons and an exit status of their own."""

import re

import pytest

REFUSED = 3
INTERVAL = r" \([-+]?\d\.\d{4} to [-+]?\d\.\d{4} with 0\.95 confidence\)"


@pytest.fixture
def refused(stranger, rankline):
    """Runs the stranger's dataset again, which must be refused; gives the reasons."""

    def run(*arguments: str, skipped: tuple[str, ...] = ("InfraCheck", "Pusher")) -> list[str]:
        versions = stranger.root.versions()
        done = rankline(*stranger.arguments, *arguments)

        assert (done.returncode, done.stderr) == (REFUSED, "")
        assert stranger.root.versions() == versions
        for component in skipped:
            assert re.search(rf"^  - {component} +skipped", done.stdout, re.MULTILINE)
        listed = rankline("runs", "--root", str(stranger.root.path), "-n1").stdout.splitlines()
        assert next(line for line in listed if "stranger" in line).split()[-1] == "no"
        reasons = done.stdout.partition("Refused: the model is not pushed.\n")[2].partition("report:")[0]
        reasons = [line.strip() for line in reasons.splitlines() if line.strip()]
        run = re.search(r"run (\S+)", done.stdout)[1]
        # `rankline runs` and the report say the same.
        assert "\n  ".join([f"{run} was refused:", *reasons]) in "\n".join(listed)
        report = rankline("report", "--root", str(stranger.root.path), "--markdown", run).stdout
        assert all(f"- {reason}\n" in report for reason in reasons)
        return reasons

    return run


def test_a_model_that_misses_a_bound(refused):
    (reason,) = refused("--set", "thresholds.auc.min=0.99")
    assert re.fullmatch(rf"auc: expected at least 0\.99, received 0\.[5-9]\d{{3}}{INTERVAL}", reason)


def test_all_reasons_of_metrics_and_limits_at_once(refused):
    """A bound of the number itself has no interval."""
    limits = ("thresholds.auc={min: 0.99, confidence: 0}", "limits={latency_ms: 1e-6, candidates: 5, size_mb: 0.001}")
    reasons = refused(*(word for setting in limits for word in ("--set", setting)), skipped=("Pusher",))
    patterns = (
        r"auc: expected at least 0\.99, received 0\.[5-9]\d{3}",
        r"latency at p99: expected at most 1e-06 ms for 5 candidates, received \d+\.\d{3} on this machine",
        r"size: expected at most 0\.001 MB, received \d+\.\d{3}",
    )
    for reason, pattern in zip(reasons, patterns, strict=True):
        assert re.fullmatch(pattern, reason)


def test_a_model_that_is_worse_than_the_last_blessed_one(refused):
    """It learns next to nothing, and has no other bound to keep. On so few rows that could be noise."""
    lazy = ("train.epochs=1", "train.deep_optimizer.learning_rate=1e-9", "train.wide_optimizer.learning_rate=1e-9")
    unbounded = ("thresholds.auc.min=null", "thresholds.logloss.max=null", "thresholds.calibration.max=null",
                 "thresholds.calibration.min=null", "thresholds.auc.confidence=0",
                 "thresholds.logloss.confidence=0")  # fmt: skip
    reasons = refused(*(word for setting in (*lazy, *unbounded) for word in ("--set", setting)))
    assert sorted(reason.split(":")[0] for reason in reasons) == ["auc", "logloss"]
    assert all("worse than the last blessed model, received" in reason for reason in reasons)


def test_the_same_run_again_pushes_nothing_new(stranger, rankline):
    """Also after other models were refused."""
    versions = stranger.root.versions()
    done = rankline(*stranger.arguments)

    assert done.returncode == 0
    assert stranger.root.versions() == versions
    assert re.search(r"^  = Evaluator +unchanged", done.stdout, re.MULTILINE)
    assert re.search(r"^  = Pusher +unchanged", done.stdout, re.MULTILINE)
    assert f"Version {versions[-1]} in {stranger.root.serving} is this model already." in done.stdout


def test_a_version_that_was_removed_is_pushed_again(stranger, rankline, tmp_path):
    (version,) = stranger.root.versions()
    removed = (stranger.root.serving / version).rename(tmp_path / version)
    done = rankline(*stranger.arguments)
    (pushed,) = stranger.root.serving.iterdir()
    again = pushed.rename(tmp_path / "again")
    removed.rename(stranger.root.serving / version)  # for other tests

    assert done.returncode == 0
    assert f"Pushed version {pushed.name} to {stranger.root.serving}" in done.stdout
    assert (again / "saved_model.pb").read_bytes() == (stranger.root.serving / version / "saved_model.pb").read_bytes()


@pytest.mark.long
def test_a_column_may_change_its_type(stranger, rankline, tmp_path):
    """The last blessed model cannot read the new examples, so there is none to compare the new one with."""
    before = set(stranger.root.versions())
    description = (
        stranger.description.replace("price: {type: numeric, max_missing: 0.5}", "price:")
        + "columns: {price: string}\n"
    )
    folder = stranger.copy(tmp_path / "their data", description)
    done = rankline("run", "-d", str(folder), "--root", str(stranger.root.path), "--no-serve", *stranger.settings)
    pushed = set(stranger.root.versions()) - before
    for version in pushed:  # for other tests
        (stranger.root.serving / version).rename(tmp_path / version)

    assert (done.returncode, done.stderr, len(pushed)) == (0, "", 1)
    assert "  ! not compared with the last blessed model: it reads 'price' as float, which is now string" in done.stdout
