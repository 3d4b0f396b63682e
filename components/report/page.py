"""The report as an HTML page and as Markdown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from components.evaluation import bootstrap
from components.evaluation.metrics.registry import find
from components.evaluation.verdict import Condition, Estimate, Metric
from components.report import charts
from components.report.comparison import better
from components.report.document import Compared, ExplainedRanking, Explanation, Report

_SECTIONS = {
    "gate": "Gate",
    "data": "Data",
    "features": "Features",
    "training": "Training",
    "metrics": "Metrics",
    "slices": "Slices",
    "curves": "Curves",
    "ranking": "Ranking",
    "memory": "Memorisation and generalisation",
    "explanation": "One ranking explained",
    "items": "Items",
    "comparison": "Comparison",
    "errors": "Worst errors",
    "origin": "Origin",
}
_DRIFT_LIMIT = 0.1


def html(report: Report) -> str:
    """The report as one self-contained page."""
    return _rendered(
        "page.html",
        report,
        [name for name in _SECTIONS if _has(report, name)],
        _charts(report),
        rows=next((split.rows for split in report.splits if split.name == "test"), report.kept_rows),
        kept_rows=report.kept_rows,
        more_slices=report.more_slices,
        before="last blessed",
    )


def compared_html(compared: Compared) -> str:
    """The comparison of two runs as one page."""
    found = {"slices": charts.slices(compared.slices, compared.metrics[0])} if compared.slices else {}
    return _rendered(
        "compared.html",
        compared,
        ["metrics", "comparison", "slices"],
        found,
        rows=compared.rows,
        kept_rows=compared.rows,
        more_slices=0,
        before=compared.models[0],
    )


def explained_html(ranking: ExplainedRanking) -> str:
    """The explanation of a list as one page."""
    found, sections = ranking.explanation, {"explanation": _SECTIONS["explanation"]}
    return rendered("explained.html", ranking, sections, _explained(found), found.column)


def _explained(explanation: Explanation) -> dict[str, str]:
    return {f"item_{item.place}": charts.contributions(item) for item in explanation.items}


def rendered(
    template: str,
    report: object,
    sections: Mapping[str, str],
    drawn: Mapping[str, str],
    unit: str,
    package: str | None = None,
    **values: Any,
) -> str:
    """Renders a page in Rankline's style.

    Args:
        template: the template's file, which extends `layout.html`.
        report: the subject of the page; `report` in the templates.
        sections: the sections' titles, by the name of their template.
        drawn: the charts as SVG, by name; `charts` in the templates.
        unit: the unit of resampling, see `Report`.
        package: another package with templates.
        values: further variables of the templates.
    """
    return (
        _environment(unit, autoescape=True, package=package)
        .get_template(template)
        .render(
            report=report,
            sections=list(sections.items()),
            charts={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704 (ours)
            **values,
        )
    )


def _rendered(
    template: str,
    report: Report | Compared,
    sections: Sequence[str],
    drawn: Mapping[str, str],
    **values: Any,
) -> str:
    return rendered(
        template,
        report,
        {name: _SECTIONS[name] for name in sections},
        drawn,
        report.unit,
        confidence=bootstrap.CONFIDENCE,
        replicates=bootstrap.REPLICATES,
        drift_limit=_DRIFT_LIMIT,
        **values,
    )


def markdown(report: Report) -> str:
    """The report as Markdown for a pull request: the verdict, and collapsed sections; without charts."""
    template = _environment(report.unit, autoescape=False).get_template("report.md")
    text = template.render(report=report, drift_limit=_DRIFT_LIMIT)
    lines = [line.rstrip() for line in text.splitlines()]
    # The templates leave runs of empty lines behind.
    return "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before) + "\n"


def _has(report: Report, section: str) -> bool:
    match section:
        case "ranking":
            return report.ranking is not None
        case "comparison":
            return report.comparison is not None
        case "explanation":
            return report.explanation is not None
        case "items":
            return bool(report.neighbours)
        case _:
            return True


def _charts(report: Report) -> dict[str, str]:
    found = {
        "calibration": charts.calibration(report.curves, probabilities=report.label == "binary"),
        "distribution": charts.distribution(report.curves.distribution),
    }
    if len(report.training.epochs) > 1:
        found["training"] = charts.training(report.training)
        if any(epoch.eval_auc is not None for epoch in report.training.epochs):
            found["auc_by_epoch"] = charts.auc_by_epoch(report.training)
    if report.familiarity:
        found["familiarity"] = charts.familiarity(report.familiarity)
    if report.explanation:
        found |= _explained(report.explanation)
    if report.map:
        found["map"] = charts.item_map(report.map)
    if report.slices:
        found["slices"] = charts.slices(report.slices, report.metrics[0])
    if report.curves.roc:
        found["roc"] = charts.roc(report.curves, report.metrics[0])
        found["precision_recall"] = charts.precision_recall(report.curves)
    return found


def _environment(unit: str, autoescape: bool, package: str | None = None) -> jinja2.Environment:
    packages = ["components.report", *([package] if package else [])]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in packages]),
        autoescape=autoescape,  # noqa: S701 (Markdown is no HTML)
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., str]] = {
        "basename": os.path.basename,
        "bars": lambda heights: Markup(charts.bars(heights)),  # noqa: S704 (ours)
        "cell": _cell,
        "change_class": _change_class,
        "heading": lambda name: f"{name}#",
        "interval": _interval,
        "meaning": lambda name: find(name).meaning.format(group=unit),
        "number": _number,
        "percent": lambda share: "<0.1%" if 0 < share < 0.001 else f"{share:.1%}",
        "plain": _plain,
        "received": _received,
        "signed": _signed,
    }
    environment.filters.update(filters)
    return environment


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+,.4f}".replace("-", "−")


def _interval(interval: tuple[float, float], signed: bool = False) -> str:
    shown = _signed if signed else _number
    return f"{shown(interval[0])} to {shown(interval[1])}"


def _plain(estimate: Estimate | None, signed: bool = False) -> str:
    if estimate is None:
        return ""
    shown = _signed(estimate.value) if signed else _number(estimate.value)
    return f"{shown} ({_interval(estimate.interval, signed)})" if estimate.interval else shown


def _received(condition: Condition) -> str:
    return _plain(Estimate(value=condition.received, interval=condition.interval), condition.is_change)


def _cell(text: str) -> str:
    """Escapes a text for a cell of a Markdown table."""
    for mark, instead in {"&": "&amp;", "<": "&lt;", "|": "\\|", "\n": " "}.items():
        text = text.replace(mark, instead)
    return text


def _change_class(metric: Metric) -> str:
    return {None: "soft", True: "good-text", False: "bad-text"}[better(metric)]
