"""Request logs, and the alarms that they raise."""

from __future__ import annotations

import datetime
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from rich.console import Console
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.evaluation import evaluated_rows
from pipeline.jobs.monitor import job, page, served
from pipeline.jobs.monitor.judge import AlarmLimits, judge
from pipeline.run.history import Origin
from pipeline.terminal.json import as_json
from schema.dataset import find
from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from schema.lists import as_lists
from serving.tensor_proto import fill_content
from tests import chromium

DAYS = [int(datetime.datetime(2026, 5, day, 12, tzinfo=datetime.UTC).timestamp()) for day in (1, 2)]
SPEC = """
name: shop
label: bought
ranking: {group: user, item: item, item_columns: [tags, price]}
features:
  user:
  age: {type: numeric, max_missing: 0.9}
  item:
  tags: {type: multivalent, separator: "|"}
  price: {type: numeric, max_missing: 0.9}
"""
HEADER = "user,age,item,tags,price,bought"


@pytest.fixture
def spec(tmp_path: Path) -> FeatureSpec:
    (tmp_path / "features.yaml").write_text(SPEC)
    (tmp_path / "log.csv").write_text(f"{HEADER}\nann,30,1,a|b,2.5,1\nbob,40,2,a,1.5,0\n")
    return find(tmp_path).spec


def log(
    folder: Path,
    time: int,
    user: str,
    items: list[int],
    scores: list[float],
    age: float = 30.0,
    tags: list[list[str]] | None = None,
    prices: list[float] | None = None,
    version: int = 7,
) -> None:
    """One request, in a file of its own."""
    record = prediction_log_pb2.PredictionLog()
    record.log_metadata.model_spec.version.value = version
    record.log_metadata.timestamp_secs = time
    request: predict_pb2.PredictRequest = record.predict_log.request
    request.model_spec.signature_name = "rank"
    inputs = {
        "user": np.array([user.encode()], object),
        "age": np.array([age], np.float32),
        "item": np.array(items, np.int64),
        "tags": np.array([[tag.encode() for tag in row] for row in tags or [["a", "b"]] * len(items)], object),
        "price": np.array(prices or [2.0] * len(items), np.float32),
    }
    for name, array in inputs.items():
        fill_content(request.inputs[name], array)
    fill_content(record.predict_log.response.outputs["probability"], np.array(scores, np.float32))
    folder.mkdir(exist_ok=True)
    path = folder / f"shop-{len(list(folder.iterdir())):05d}.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record.SerializeToString())


@pytest.fixture
def origin(tmp_path: Path, spec: FeatureSpec) -> Origin:
    """Trained on 500 rows of one distribution, and judged with scores that spread evenly."""
    random = np.random.default_rng(0)
    batch = pa.RecordBatch.from_pydict(
        {
            "user": [f"u{number}" for number in random.integers(20, size=500)],
            "age": random.normal(30, 5, 500).astype(np.float32),
            "item": random.integers(50, size=500),
            "tags": [["a", "b"]] * 500,
            "price": random.normal(2, 0.5, 500).astype(np.float32),
        }
    )
    folders = {name: tmp_path / name for name in ("schema", "statistics", "evaluation")}
    (folders["statistics"] / "Split-train").mkdir(parents=True)
    statistics = generate_statistics_in_memory(as_lists(batch))
    (folders["statistics"] / "Split-train" / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    folders["schema"].mkdir()
    tfdv.write_schema_text(tfdv.infer_schema(statistics), str(folders["schema"] / "schema.pbtxt"))
    folders["evaluation"].mkdir()
    kept = pa.table({evaluated_rows.EXAMPLE: [b""] * 100, evaluated_rows.CANDIDATE: np.linspace(0, 1, 100, dtype="f4")})
    pq.write_table(kept, folders["evaluation"] / evaluated_rows.FILE)
    return Origin(7, *(str(folders[name]) for name in ("schema", "statistics", "evaluation")), {"auc": 0.7})


def usual(folder: Path, time: int, requests: int = 100, **differs: object) -> None:
    """Requests like what the model was trained on."""
    random = np.random.default_rng(time)
    for _ in range(requests):
        said = {
            "items": random.integers(50, size=5).tolist(),
            "scores": random.random(5).tolist(),
            "age": random.normal(30, 5),
            "prices": random.normal(2, 0.5, 5).tolist(),
        }
        log(folder, time, f"u{random.integers(20)}", **{**said, **differs})


def read(folder: Path, spec: FeatureSpec) -> served.Served:
    return served.read(str(folder / "*.tfrecord"), spec, "probability")


def test_requests_are_read_as_they_were_sent(tmp_path, spec):
    log(tmp_path / "a", DAYS[0], "ann", [1, 2], [0.1, 0.9], age=math.nan, tags=[["a", ""], ["a", "b"]], prices=[1, 2])
    log(tmp_path / "a", DAYS[1], "", [3], [0.5], version=8)
    found = read(tmp_path / "a", spec)

    texts = {name: found.values[name].cast(pa.large_list(pa.large_string())) for name in ("user", "tags")}
    assert texts["user"].to_pylist() == [["ann"], None]
    assert texts["tags"].to_pylist() == [["a"], ["a", "b"], ["a", "b"]]
    assert found.values["age"].to_pylist() == [None, [30.0]]
    assert found.values["item"].to_pylist() == [[1], [2], [3]]
    assert found.sent_at["age"].tolist() == DAYS
    assert [part.to_pylist() for part in found.pairs] == [["ann", "ann", ""], [1, 2, 3]]
    np.testing.assert_allclose(found.scores, [0.1, 0.9, 0.5], rtol=1e-6)
    assert found.times.tolist() == [DAYS[0], DAYS[0], DAYS[1]]
    assert found.versions == {7: 1, 8: 1}


def test_a_record_that_is_being_written_is_passed_over(tmp_path, spec):
    log(tmp_path, DAYS[0], "ann", [1], [0.5])
    path = next(tmp_path.glob("*.tfrecord"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-5])
    assert read(tmp_path, spec).scores.tolist() == [0.5]


def test_a_log_that_is_none_is_refused(tmp_path, spec):
    with pytest.raises(DataError, match=r"expected files of a request log, found none"):
        read(tmp_path, spec)
    (tmp_path / "a.tfrecord").write_text("not a file of records, for sure")
    with pytest.raises(DataError, match=r"a\.tfrecord: expected TFRecords, received"):
        read(tmp_path, spec)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(b"\xff")
    with pytest.raises(DataError, match=r"a\.tfrecord: record 1: expected a PredictionLog"):
        read(tmp_path, spec)


def test_what_is_like_the_training_is_no_alarm(tmp_path, spec, origin):
    for day in DAYS:
        usual(tmp_path / "a", day)
    findings = judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits())
    assert findings.alarms == []
    assert [window.name for window in findings.windows] == ["2026-05-01", "2026-05-02"]
    assert [(window.requests, window.candidates) for window in findings.windows] == [(100, 500), (100, 500)]
    assert set(findings.skew) == set(findings.drift) == {"user", "age", "item", "tags", "price"}
    assert findings.windows[0].drift is None
    assert findings.windows[1].drift < 0.1
    assert findings.scores < 0.1


def test_a_planted_shift_is_found(tmp_path, spec, origin):
    usual(tmp_path / "a", DAYS[0])
    usual(tmp_path / "a", DAYS[1], age=70.0, tags=[["c"]] * 5, scores=[0.99] * 5)
    findings = judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits())

    about = [alarm.split(":")[0] for alarm in findings.alarms]
    # Tags are off on one of two days, which is not that far from the training.
    assert sorted(about) == ["age", "age", "score", "tags"]
    skewed = next(alarm for alarm in findings.alarms if alarm.startswith("age"))
    assert skewed.startswith("age: expected values that differ from those of the train split by at most 0.2, received")
    assert next(iter(findings.drift)) in ("age", "tags")
    assert findings.drift["price"] < 0.1


def test_comparators_of_the_schema_go_first(tmp_path, spec, origin):
    usual(tmp_path / "a", DAYS[0], age=70.0)
    path = str(Path(origin.schema) / "schema.pbtxt")
    schema = tfdv.load_schema_text(path)
    (age,) = (feature for feature in schema.feature if feature.name == "age")
    age.skew_comparator.CopyFrom(
        schema_pb2.FeatureComparator(jensen_shannon_divergence=schema_pb2.JensenShannonDivergence(threshold=1.0))
    )
    tfdv.write_schema_text(schema, path)
    findings = judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits())
    assert findings.skew["age"] > 0.9
    assert findings.alarms == []


def test_labels_that_come_later_are_joined(tmp_path, spec, origin):
    """Scores 0.9, 0.6, 0.3, 0.2 and labels 1, 0, 1, 0: 3 of 4 pairs are in order. Mean score 0.5, mean label 0.5."""
    usual(tmp_path / "a", DAYS[0], requests=1)
    log(tmp_path / "a", DAYS[1], "ann", [1, 2, 3, 4, 5], [0.9, 0.6, 0.3, 0.2, 0.1])
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{HEADER}\nann,30,1,a,2,1\nann,30,2,a,2,1\nann,30,2,a,2,0\nann,30,3,a,2,1\nann,30,4,a,2,0\n")
    asked = read(tmp_path / "a", spec)
    findings = judge(asked, spec, origin, "day", AlarmLimits(), [labels])
    first, last = findings.windows
    assert (first.labelled, first.auc) == (0, None)
    assert last.labelled == 4
    assert last.auc == pytest.approx(0.75)
    assert last.calibration == pytest.approx(1.0)
    assert not any(alarm.startswith(("auc", "calibration")) for alarm in findings.alarms)

    worse = replace(origin, metrics={"auc": 0.85})
    wanted = AlarmLimits(calibration=0.1, auc_drop=0.05)
    asked = replace(asked, scores=np.where(asked.times == DAYS[1], asked.scores / 2, asked.scores))
    findings = judge(asked, spec, worse, "day", wanted, [labels])
    assert [alarm for alarm in findings.alarms if alarm.startswith(("auc", "calibration"))] == [
        "auc: expected at least 0.8000, 0.05 less than on the test split, received 0.7500",
        "calibration: expected 0.909 to 1.1, received 0.500",
    ]


def test_labels_of_something_else_are_refused(tmp_path, spec, origin):
    log(tmp_path / "a", DAYS[1], "ann", [1], [0.9])
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{HEADER}\nbob,30,1,a,2,1\n")
    with pytest.raises(DataError, match="expected labels of some of the 1 candidates that were served, by user and"):
        judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits(), [labels])


def test_it_is_shown(tmp_path, spec, origin):
    for day in DAYS:
        usual(tmp_path / "a", day, requests=20)
    findings = judge(read(tmp_path / "a", spec), spec, origin, "all", AlarmLimits())
    console = Console(width=120)
    with console.capture() as captured:
        for table in job.tables(findings):
            console.print(table)
    assert "On the test split: auc 0.7000; its scores differ by" in captured.get()
    assert next(line.split()[:3] for line in captured.get().splitlines() if line.split()[:1] == ["all"]) == [
        "all", "40", "200"
    ]  # fmt: skip
    assert json.loads(as_json(findings))["windows"][0]["candidates"] == 200


def test_scores_are_put_into_bins(tmp_path, spec, origin):
    """Of the test split 100 scores spread evenly over 20 bins from 0 to 1; served are 0.01 once, 0.99 three times."""
    log(tmp_path / "a", DAYS[0], "ann", [1, 2], [0.01, 0.99])
    log(tmp_path / "a", DAYS[1], "ann", [1, 2], [0.99, 0.99])
    found = judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits())
    np.testing.assert_allclose(found.edges, np.linspace(0, 1, 21))
    np.testing.assert_allclose(found.shares["test split"], 0.05)
    assert (found.shares["served"][0], found.shares["served"][-1]) == (0.25, 0.75)
    assert (found.shares["last window"][0], found.shares["last window"][-1]) == (0, 1)
    found = judge(read(tmp_path / "a", spec), spec, origin, "all", AlarmLimits())
    assert set(found.shares) == {"test split", "served"}


@pytest.fixture
def written(tmp_path, spec, origin):
    """The page of two days of which the last is off, and labelled with one class only."""
    usual(tmp_path / "a", DAYS[0], requests=20)
    log(tmp_path / "a", DAYS[0], "ann", [1, 2], [0.9, 0.1])
    usual(tmp_path / "a", DAYS[1], requests=20, age=70.0)
    log(tmp_path / "a", DAYS[1], "bob", [3], [0.5])
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{HEADER}\nann,30,1,a,2,1\nann,30,2,a,2,0\nbob,30,3,a,2,0\n")
    findings = judge(read(tmp_path / "a", spec), spec, origin, "day", AlarmLimits(), [labels])
    path = tmp_path / "page.html"
    path.write_text(page.html(findings, "<b>shop</b>", AlarmLimits()))
    return findings, path


def test_it_has_a_page(written):
    findings, path = written
    text = path.read_text()
    assert "<h1>Predictions served for &lt;b&gt;shop&lt;/b&gt;</h1>" in text
    assert f"{len(findings.alarms)} limits are exceeded" in text
    assert "age: expected values that differ from those of the train split by at most 0.2" in text
    assert re.findall(r'<section id="(\w+)"', text) == ["served", "scores", "columns"]
    labels = re.findall(r'aria-label="([^"]*); all numbers are in the table"', text)
    assert labels == [
        "auc by window; dashed: 0.7", "calibration by window; dashed: 1",
        "The distances of 5 columns",
    ]  # fmt: skip
    assert "Intervals hold" not in text


def test_a_number_that_is_none_is_null_in_json(written):
    """Of one class there is no AUC, and without a positive row no calibration."""
    findings, _ = written
    assert math.isnan(findings.windows[-1].auc)
    assert math.isinf(findings.windows[-1].calibration)
    assert not [alarm for alarm in findings.alarms if alarm.startswith("auc")]
    last = json.loads(as_json(findings), parse_constant=pytest.fail)["windows"][-1]
    assert (last["auc"], last["calibration"], last["labelled"]) == (None, None, 1)


@chromium.needed
def test_a_browser_shows_the_page(written, tmp_path):
    shown = chromium.show(written[1], tmp_path)
    assert (shown.complaints, shown.requests) == ([], [])
    assert shown.document.count("<svg") == 4
