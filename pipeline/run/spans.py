"""The spans that a run reads, and the warnings and errors about missing and late ones."""

from __future__ import annotations

import datetime

from pipeline.config.spans import SpanParams
from schema.dataset import Dataset, find
from schema.errors import DataError, SpecError, listing
from schema.spans import LATEST, Spans


def dataset_in_window(
    name_or_path: str, params: SpanParams, today: datetime.date | None = None
) -> tuple[Dataset, list[str]]:
    """A dataset with the files of the run's spans, or with all files if it has no spans.

    Args:
        name_or_path: the dataset, as `schema.dataset.find` takes it.
        params: the spans to read.
        today: today's date in UTC; None for the clock's.

    Returns:
        The dataset, and the warnings about it.

    Raises:
        SpecError: spans are requested of a dataset without spans; or `find` raises it.
        DataError: spans are missing or late, and `params` makes that an error; or `find` raises it.
    """
    dataset = find(name_or_path, params.span, params.window)
    warnings = list(dataset.remarks)
    if dataset.spans is None and params == SpanParams():
        return dataset, warnings
    spans = spans_of(dataset, "spans")
    for problem, severity in (
        (_missing(spans, dataset.window[-1], params), params.missing),
        (_late(spans, params, today), params.late),
    ):
        if problem and severity == "error":
            raise DataError(problem)
        warnings += [problem] if problem else []
    return dataset, warnings


def spans_of(dataset: Dataset, asked_by: str) -> Spans:
    """The spans of a dataset.

    Args:
        dataset: the dataset.
        asked_by: the command or section that needs spans, for the error.

    Raises:
        SpecError: the dataset has no spans.
    """
    if dataset.spans is None:
        raise SpecError(
            f"{asked_by}: expected a dataset whose source.files has {{SPAN}} or {{YYYY}}, {{MM}} and {{DD}} in it, "
            f"received {dataset.name}, which has not"
        )
    return dataset.spans


def _missing(spans: Spans, last: int, params: SpanParams) -> str | None:
    missing = spans.names(spans.missing(last - params.window + 1, last))
    if not missing:
        return None
    return (
        f"{spans.where}: expected files of each of the {params.window:,} spans up to {spans.name(last)}, "
        f"found none of {listing(missing)}"
    )


def _late(spans: Spans, params: SpanParams, today: datetime.date | None) -> str | None:
    if params.max_age_days is None or params.span != LATEST:
        return None
    if not spans.dated:
        raise SpecError("spans.max_age_days: expected spans that are dates, received numbered ones")
    latest = spans.name(spans.latest)
    age = ((today or datetime.datetime.now(datetime.UTC).date()) - datetime.date.fromisoformat(latest)).days
    if age <= params.max_age_days:
        return None
    return (
        f"{spans.where}: expected a span of at most {params.max_age_days:,} days ago, "
        f"found none after {latest}, {age:,} days ago"
    )
