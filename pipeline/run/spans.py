"""The spans that a run reads, and what is told, or stops it, where they are not as they should be."""

from __future__ import annotations

import datetime

from pipeline.config.spans import SpanParams
from schema.dataset import Dataset, find
from schema.errors import DataError, SpecError, listing
from schema.spans import LATEST


def dataset_in_window(
    name_or_path: str, params: SpanParams, today: datetime.date | None = None
) -> tuple[Dataset, list[str]]:
    """A dataset with the files of the spans that a run is for, or, if it has no spans, with all.

    Args:
        name_or_path: as of `schema.dataset.find`.
        params: which spans.
        today: in UTC; None: what the clock says.

    Returns:
        The dataset, and what to warn of.

    Raises:
        SpecError: spans are asked for, and the dataset has none; or what `find` raises.
        DataError: spans are missing or late, and `params` do not bear that; or what `find` raises.
    """
    dataset = find(name_or_path, params.span, params.window)
    if dataset.spans is None:
        if params != SpanParams():
            raise SpecError(
                f"spans: expected a dataset whose source.files has {{SPAN}} or {{YYYY}}, {{MM}} and {{DD}} in it, "
                f"received {dataset.name}, which has not"
            )
        return dataset, list(dataset.remarks)
    warnings = list(dataset.remarks)
    for problem, severity in (
        (_missing(dataset, params), params.missing),
        (_late(dataset, params, today), params.late),
    ):
        if problem and severity == "error":
            raise DataError(problem)
        warnings += [problem] if problem else []
    return dataset, warnings


def _missing(dataset: Dataset, params: SpanParams) -> str | None:
    assert dataset.spans is not None, "only called for spans"
    spans, last = dataset.spans, dataset.window[-1]
    missing = spans.names(spans.missing(last - params.window + 1, last))
    if not missing:
        return None
    return (
        f"{spans.where}: expected files of each of the {params.window:,} spans up to {spans.name(last)}, "
        f"found none of {listing(missing)}"
    )


def _late(dataset: Dataset, params: SpanParams, today: datetime.date | None) -> str | None:
    assert dataset.spans is not None, "only called for spans"
    if params.max_age_days is None or params.span != LATEST:
        return None
    if not dataset.spans.dated:
        raise SpecError("spans.max_age_days: expected spans that are dates, received numbered ones")
    latest = dataset.spans.name(dataset.spans.latest)
    age = ((today or datetime.datetime.now(datetime.UTC).date()) - datetime.date.fromisoformat(latest)).days
    if age <= params.max_age_days:
        return None
    return (
        f"{dataset.spans.where}: expected a span of at most {params.max_age_days:,} days ago, "
        f"found none after {latest}, {age:,} days ago"
    )
