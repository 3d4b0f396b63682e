"""`make run` on MovieLens-100k, with its output line by line."""

import json
import re
from pathlib import Path

import pytest

from components.evaluation.metrics.registry import names
from components.report.document import Report
from serving.client import Client
from serving.server import Server, ServerOptions
from tests import chromium

COMPONENTS = [
    "ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Trainer", "LatestBlessedModel",
    "Evaluator", "InfraCheck", "Pusher", "Report",
]  # fmt: skip
DECIDED_ANEW = ["LatestBlessedModel", "Report"]
"""What a run with nothing new in it does again."""

RUN_ID = r"\d{8}T\d{6}\.\d{6}"
TABLE = (
    r"For \d+, the best of [\d,]+\n\s*\n  # +score +item +title +\n ─+ *\n(?:  [1-5] +0\.\d{3} +\d+ +\S.*\n){5}\s*\n"
)


def shape(root, progress: str, outcome: str) -> str:
    """The pattern of all that a run shows."""
    path = re.escape(str(root.path))
    return (
        rf"wide_deep on movielens, run {RUN_ID}\n"
        rf"  log: {path}/movielens/logs/{RUN_ID}/run\.log\n"
        rf"{progress}"
        r"\nTest split, 10,0\d\d rows\n"
        r"  auc +0\.\d{4}  .*\n  logloss +0\.\d{4}  .*\n  calibration +[01]\.\d{4}  .*\n"
        r"  gauc +0\.\d{4}  .*\n  ndcg@10 +0\.\d{4}  .*\n"
        rf"{outcome}"
        r"  items: 1,682 by their ids, \d\.\d MB in memory\n"
        r"  contexts: 943 by their ids, \d\.\d MB in memory\n"
        rf"  report: {path}/movielens/artifacts/Report/report/\d+/report\.html\n"
        rf"  artifacts: {path}/movielens/artifacts\n"
        r"\nRanked over gRPC by version \d+ at 127\.0\.0\.1:\d+\n"
        rf"(?:{TABLE}){{3}}"
    )


def progress(root, word: str, again: str) -> str:
    """The pattern of the progress lines: a mark, the component, a word or seconds, rows, where its output is."""
    counts = {"ExampleGen": "100,000", "StatisticsGen": "100,000", "Transform": "90,000", "Trainer": "79,999",
              "Evaluator": "10,000"}  # fmt: skip
    rows = {name: f" +{count} rows" for name, count in counts.items()}
    lines = [
        rf"  {again if name in DECIDED_ANEW else word}".replace("NAME", name)
        + rows.get(name, "")
        + ("" if name == "LatestBlessedModel" else rf" +{re.escape(str(root.path))}/movielens/artifacts/{name}/\w+/\d+")
        + r" *\n"
        for name in COMPONENTS
    ]
    return "".join(lines)


SECONDS = r"✓ NAME +\d+\.\d s"


def test_the_first_run_shows_what_is_done_and_what_came_of_it(movielens):
    first, _ = movielens.done
    (version,) = movielens.versions()
    pushed = rf"\nPushed version {version} to {re.escape(str(movielens.serving))}\n"

    assert first.stderr == ""
    assert re.fullmatch(shape(movielens, progress(movielens, SECONDS, SECONDS), pushed), first.stdout), first.stdout


def test_the_second_run_reuses_everything_and_says_so_on_a_terminal_too(movielens):
    _, second = movielens.done
    # Between our lines there is a spinner with a component's name, and a line break where it was wiped away.
    shown = [line for line in second.stdout.splitlines() if not re.match("[⠀-⣿] ", line)]
    text = re.sub(r"\n\n+", "\n", "\n".join(["", *shown, ""]))
    (version,) = movielens.versions()
    outcome = (
        rf"\nReused {len(COMPONENTS) - len(DECIDED_ANEW)} components, since nothing they depend on has changed .*\n"
        rf"\nVersion {version} in {re.escape(str(movielens.serving))} is this model already\.\n"
    )
    expected = shape(movielens, progress(movielens, "= NAME +unchanged", SECONDS), outcome)

    assert second.returncode == 0
    assert re.fullmatch(r"\n" + re.sub(r"(\\n)+", r"\\n", expected).replace(r"\n\s*\n", r"\s*\n"), text), text


def test_nothing_was_pushed_or_made_twice(movielens):
    assert len(movielens.versions()) == 1
    models = (movielens.path / "movielens" / "artifacts" / "Trainer" / "model").iterdir()
    assert len(list(models)) == 1


def test_what_is_pushed_is_a_numbered_model_with_its_warm_up(movielens):
    (version,) = movielens.serving.iterdir()
    assert version.name.isdigit()
    assert (version / "saved_model.pb").is_file()
    assert (version / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0


def test_each_run_leaves_its_log_and_a_summary(movielens):
    first, second = movielens.logs()
    for folder, done in ((first, movielens.done[0]), (second, movielens.done[1])):
        assert str(folder / "run.log") in done.stdout
        assert (folder / "run.log").stat().st_size > 0
        assert "AVAILABLE" in (folder / "server.log").read_text()
    summary = json.loads((first / "summary.json").read_text())
    assert summary["rows"] == {"train": pytest.approx(80_000, abs=100), "eval": pytest.approx(10_000, abs=100),
                               "test": pytest.approx(10_000, abs=100)}  # fmt: skip
    assert sum(summary["rows"].values()) == 100_000
    assert set(summary["seconds"]) == set(COMPONENTS)
    assert json.loads((second / "summary.json").read_text())["metrics"] == summary["metrics"]


def test_the_model_is_good(movielens):
    """A little worse at most than it was when these tests were written: AUC .715, GAUC .716, loss .614."""
    metrics = json.loads((movielens.logs()[0] / "summary.json").read_text())["metrics"]
    assert list(metrics) == names("binary", ranked=True)
    assert metrics["auc"] > 0.71
    assert metrics["gauc"] > 0.70
    assert metrics["logloss"] < 0.62
    assert 0.9 < metrics["calibration"] < 1.1


@pytest.fixture
def report(movielens) -> Path:
    return Path(json.loads((movielens.logs()[0] / "summary.json").read_text())["report"])


def test_the_report_says_what_the_run_said(movielens, report):
    facts = Report.model_validate_json(report.with_name("report.json").read_text())
    summary = json.loads((movielens.logs()[0] / "summary.json").read_text())
    assert (facts.run_id, facts.verdict.pushed) == (summary["run_id"], summary["pushed"])
    assert {metric.name: metric.estimate.value for metric in facts.metrics} == pytest.approx(summary["metrics"])
    assert {split.name: split.rows for split in facts.splits} == summary["rows"]
    assert facts.served.rows == 1000
    for metric in facts.metrics:
        low, high = metric.estimate.interval
        assert low < metric.estimate.value < high


@chromium.needed
def test_a_browser_shows_the_report(report, tmp_path):
    shown = chromium.show(report, tmp_path, dark=True)
    assert (shown.complaints, shown.requests) == ([], [])


def test_reports_are_found_by_the_command_line(movielens, report, rankline, tmp_path):
    first, second = (folder.name for folder in movielens.logs())
    root = ("--root", str(movielens.path))
    assert rankline("report", first, *root).stdout == f"{report}\n"
    latest = rankline("report", *root).stdout.strip()
    assert f"Run {second}" in Path(latest).read_text()
    assert rankline("report", first, "--markdown", *root).stdout.startswith("## wide_deep on movielens: blessed\n")
    copied = rankline("report", first, "-o", str(tmp_path / "a" / "page.html"), *root)
    assert (copied.returncode, copied.stdout) == (0, f"{tmp_path / 'a' / 'page.html'}\n")
    assert (tmp_path / "a" / "page.html").read_bytes() == report.read_bytes()


def test_both_runs_are_listed_newest_first(movielens, rankline):
    listed = rankline("runs", "--root", str(movielens.path))
    lines = [line.split() for line in listed.stdout.splitlines() if "wide_deep" in line]
    (version,) = movielens.versions()
    metrics = json.loads((movielens.logs()[0] / "summary.json").read_text())["metrics"]
    values = [f"{value:.4f}" for value in metrics.values()]

    assert (listed.returncode, listed.stderr) == (0, "")
    assert lines == [
        [folder.name, "movielens", "wide_deep", *values, "yes", version] for folder in reversed(movielens.logs())
    ]


def test_a_user_is_ranked_for_from_the_command_line(movielens, rankline, tmp_path, monkeypatch):
    with Server(ServerOptions("movielens", str(movielens.serving))) as server:
        asked = ("rank", "--target", f"127.0.0.1:{server.port}", "-k", "3", "--user")
        with Client(asked[2], "movielens") as client:
            client.wait_until_available(60)
            best = client.recommend({"user_id": 42}, 3)
        unseen = rankline(*asked, "42", "--features")
        everything = rankline(*asked, "42", "--features", "--all")
        unknown = rankline(*asked, "nobody", "--features")
        monkeypatch.setenv("RANKLINE_CACHE", str(tmp_path))  # as on a machine without the dataset
        listed = rankline(*asked, "42")
        shortened = rankline(*asked, "42", "--exclude", str(best[0].item), "--context", "age=20")
        stranger = rankline(*asked, "12345")
        wrong = {value: rankline(*asked, value).stderr for value in ("nobody", "4.2")}
        misspelt = rankline(*asked, "42", "--context", "aeg=20")

    assert not any(tmp_path.iterdir())
    for done in (unseen, everything, listed, shortened, stranger):
        assert (done.returncode, done.stderr) == (0, "")
        assert len(re.findall(r"^  [123] +0\.\d{3} +\d+ +\S", done.stdout, re.MULTILINE)) == 3
    # Of the 1,682, user 42 has rated 183.
    assert [re.findall(r"For 42, the best of ([\d,a-z]+)", done.stdout) for done in (unseen, everything, listed)] == [
        ["1,499"], ["1,682"], ["all"],
    ]  # fmt: skip
    assert listed.stdout.split("\n", 1)[1] == everything.stdout.split("\n", 1)[1]
    assert all(re.search(rf" {each.item} +{re.escape(each.title)}", listed.stdout) for each in best)
    assert best[0].title not in shortened.stdout
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: user_id: expected one of the data's 943, such as .*, received 'nobody'\n", unknown.stderr
    )
    assert wrong == {
        value: f"Error: feature 'user_id': expected int64, received {value!r}\n" for value in ("nobody", "4.2")
    }
    assert misspelt.stderr.startswith("Error: --context: expected one of ")
    assert misspelt.stderr.endswith("received 'aeg'; did you mean 'age'?\n")
