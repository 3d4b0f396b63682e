"""The errors and warnings about a run's spans."""

from __future__ import annotations

import datetime

import pytest

from pipeline.config.run import load
from pipeline.config.spans import SpanParams
from pipeline.run.spans import dataset_in_window
from schema.errors import DataError, SpecError

TODAY = datetime.date(2026, 3, 6)


@pytest.fixture
def march(tmp_path):
    """Days of March 2026 without the third, the last of which was yesterday."""
    folder = tmp_path / "clicks"
    folder.mkdir()
    (folder / "features.yaml").write_text("{label: y, source: {files: '{YYYY}-{MM}-{DD}.csv'}}")
    for day in (1, 2, 4, 5):
        (folder / f"2026-03-0{day}.csv").write_text(f"y,a\n1,{day}\n")
    return folder


@pytest.mark.parametrize(
    ("params", "warned"),
    [
        ({}, []),
        ({"window": 2}, []),
        ({"window": 4}, ["expected files of each of the 4 spans up to 2026-03-05, found none of 2026-03-03"]),
        ({"window": 9, "span": "2026-03-02"}, []),
        ({"max_age_days": 1}, []),
        ({"max_age_days": 0, "late": "warn"},
         ["expected a span of at most 0 days ago, found none after 2026-03-05, 1 days ago"]),
        # Who names a span knows how old it is.
        ({"max_age_days": 0, "span": "2026-03-02"}, []),
    ],
)  # fmt: skip
def test_what_is_let_pass_is_warned_of(march, params, warned):
    _, warnings = dataset_in_window(str(march), SpanParams(**params), TODAY)
    assert warnings == [f"{march}/features.yaml: source.files: {warning}" for warning in warned]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": 3, "missing": "error"}, "found none of 2026-03-03"),
        ({"max_age_days": 0}, "expected a span of at most 0 days ago, found none after 2026-03-05"),
    ],
)
def test_what_is_not_borne_stops_the_run(march, params, message):
    with pytest.raises(DataError, match=message):
        dataset_in_window(str(march), SpanParams(**params), TODAY)


def test_the_clock_says_how_old_a_span_is(march):
    with pytest.raises(DataError, match="expected a span of at most 1 days ago"):
        dataset_in_window(str(march), SpanParams(max_age_days=1))


def test_numbers_have_no_age(march):
    (march / "features.yaml").write_text("{label: y, source: {files: '{SPAN}-03-05.csv'}}")
    with pytest.raises(SpecError, match=r"spans\.max_age_days: expected spans that are dates, received numbered ones"):
        dataset_in_window(str(march), SpanParams(max_age_days=1))


def test_spans_of_data_that_has_none(march):
    (march / "features.yaml").write_text("{label: y, source: {files: '*.csv'}}")
    dataset, warnings = dataset_in_window(str(march), SpanParams())
    assert (len(dataset.files["all"]), warnings) == (4, [])
    with pytest.raises(SpecError, match=r"spans: expected a dataset whose source\.files has {SPAN} or"):
        dataset_in_window(str(march), SpanParams(window=2))


@pytest.mark.parametrize(("setting", "span"), [("spans.span=2026-03-05", "2026-03-05"), ("spans.span=7", "7")])
def test_spans_may_be_written_as_yaml_has_them(setting, span):
    assert load(None, {}, [setting]).spans.span == span


def test_an_option_says_which(march):
    assert load(None, {"dataset": str(march), "spans.span": "2026-03-02"}, ()).spans.span == "2026-03-02"
