"""Charts as SVG with the page's colours: dark on light, light on dark, black on paper.

Matplotlib draws the charts in placeholder colours, which are then replaced by `currentColor` and the page's variables
`--series-1`, `--series-2`, …
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from components.evaluation.verdict import Estimate, Metric, Slice
from components.report.document import Curves, Distribution, Explained, Familiarity, Map, Place, Training

INK = "#010203"
_SCALE = 1.5
"""The page's pixels per Matplotlib point, which make 9-point text as large as the text of tables."""
SERIES = ("#0a0b01", "#0a0b02", "#0a0b03")
_CSS = {INK: "currentColor", **{colour: f"var(--series-{place})" for place, colour in enumerate(SERIES, 1)}}
_MOST_LINES = 30
_BARS, _LINE_LENGTH = 12, 36
"""The number of bars of an explanation, and the length of their labels in letters."""
_NAMED, _NAME_LENGTH = 16, 24
"""The number of named points on the map, and the length of their names in letters."""
_LETTER, _LINE = 0.02, 0.05
"""The approximate width and height of a letter of these names, as shares of the map."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # texts stay texts, which people can select and screen readers read
    "svg.hashsalt": "rankline",
    "text.parse_math": False,  # a $ in a title is a $
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "legend.frameon": False,
}


def draw(name: str, description: str, paint: Callable[[Axes], None], size: tuple[float, float] = (4.2, 3.1)) -> str:
    """Draws a chart as an SVG element.

    Args:
        name: the chart's name, a prefix of its ids that keeps them unique in the page.
        description: the text alternative of the chart.
        paint: a function that draws the chart onto axes.
        size: the width and height in inches, for 9-point text.
    """
    with rc_context(_STYLE):
        figure = Figure(size, layout="constrained")
        paint(figure.add_subplot())
        file = io.StringIO()
        with any_letters():
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _for_page(file.getvalue(), name, description)


@contextlib.contextmanager
def any_letters() -> Iterator[None]:
    """Silences Matplotlib's warnings about letters that its font lacks; the page uses other fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _for_page(svg: str, name: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page sets the fonts. Texts have the same size in all charts if there is room.
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0]
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{_SCALE * float(width):.0f}" role="img" '
        f'aria-label="{_quoted(description)}">',
        svg, count=1,
    )  # fmt: skip
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)([^")]+)', rf"\1{name}-\2", svg)
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    return svg.strip()


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def roc(curves: Curves, auc: Metric) -> str:
    """Draws the ROC curve: the share of positive rows above a line by the share of negative rows."""

    def paint(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.6, linestyle="--")
        axes.plot(*np.transpose(curves.roc), color=SERIES[0])
        axes.set(
            xlabel="share of negative rows above the line", ylabel="share of positive rows", xlim=(0, 1), ylim=(0, 1.02)
        )

    return draw("roc", f"ROC curve; the area under it is {auc.estimate.value:.4f}, that of chance 0.5", paint)


def precision_recall(curves: Curves) -> str:
    """Draws precision by recall: the share of positives above a line by the share of the positives found."""

    def paint(axes: Axes) -> None:
        axes.axhline(curves.positives or 0, color=INK, linewidth=0.6, linestyle="--")
        axes.plot(*np.transpose(curves.precision_recall), color=SERIES[0])
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))

    return draw("precision-recall", f"Precision by recall; by chance precision is {curves.positives:.3f}", paint)


def calibration(curves: Curves, probabilities: bool) -> str:
    """Draws the observed labels by the predictions, in deciles of the prediction."""
    deciles = curves.calibration
    predicted = np.array([decile.predicted for decile in deciles])
    observed = np.array([decile.observed.value for decile in deciles])
    reach = np.array([decile.observed.interval or (decile.observed.value,) * 2 for decile in deciles])

    def paint(axes: Axes) -> None:
        span = [min(predicted.min(), reach.min()), max(predicted.max(), reach.max())]
        axes.plot(span, span, color=INK, linewidth=0.6, linestyle="--")
        errors = np.abs(reach.T - observed)
        axes.errorbar(predicted, observed, errors, color=SERIES[0], marker="o", markersize=4, capsize=3, linewidth=1.2)
        axes.set(xlabel="mean prediction", ylabel="share of positive rows" if probabilities else "mean label")

    return draw("calibration", "Calibration by decile of the prediction; on the dashed line both are equal", paint)


def distribution(found: Distribution) -> str:
    """Draws the distribution of the predictions, by kind of rows."""

    def paint(axes: Axes) -> None:
        for (kind, shares), colour, line in zip(found.shares.items(), SERIES, ("-", "--", ":"), strict=False):
            axes.stairs(np.array(shares), found.edges, color=colour, label=kind, linestyle=line, linewidth=1.4)
        axes.set(xlabel="prediction", ylabel="share of these rows")
        if len(found.shares) > 1:
            axes.legend()

    return draw("distribution", f"Distribution of the predictions: {', '.join(found.shares)}", paint)


def bars(heights: Sequence[float]) -> str:
    """Draws a small histogram for a table's row."""
    pitch, height = 6, 18
    width, top = pitch * max(1, len(heights)), max(heights, default=0) or 1
    parts = [
        f'<rect x="{place * pitch}" y="{height * (1 - share / top):.1f}" width="{pitch - 1}" '
        f'height="{height * share / top:.1f}"/>'
        for place, share in enumerate(heights)
    ]
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class="bars" {box} aria-hidden="true">{"".join(parts)}</svg>'


def training(found: Training) -> str:
    """Draws the losses by epoch."""
    epochs = range(1, len(found.epochs) + 1)

    def paint(axes: Axes) -> None:
        axes.plot(epochs, [epoch.loss for epoch in found.epochs], color=SERIES[0], label="train, with dropout")
        axes.plot(epochs, [epoch.eval_loss for epoch in found.epochs], color=SERIES[1], linestyle="--", label="eval")
        _by_epoch(axes, found, "loss")
        axes.legend()

    return draw("training", f"Loss on train and eval by epoch; epoch {found.best_epoch} was the best", paint)


def auc_by_epoch(found: Training) -> str:
    """Draws the AUC on the eval split by epoch."""

    def paint(axes: Axes) -> None:
        places = [(epoch, each.eval_auc) for epoch, each in enumerate(found.epochs, 1) if each.eval_auc is not None]
        axes.plot(*np.transpose(places), color=SERIES[1], linestyle="--")
        _by_epoch(axes, found, "auc")

    return draw("auc-by-epoch", f"AUC on eval by epoch; epoch {found.best_epoch} was kept", paint)


def _by_epoch(axes: Axes, found: Training, label: str) -> None:
    axes.axvline(found.best_epoch, color=INK, linewidth=0.6, linestyle=":")
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def slices(found: Sequence[Slice], overall: Metric) -> str:
    """Draws the first metric of each slice with its interval, beside the metric of all rows."""
    shown = [each for each in found if not each.few][:_MOST_LINES] or list(found[:_MOST_LINES])
    lines = [
        (each.name, next((metric.estimate for metric in each.metrics if metric.name == overall.name), None))
        for each in shown
    ]
    text = f"{overall.name} of {len(shown)} slices, with intervals; all numbers are in the table"
    return _forest("slices", text, lines, f"{overall.name}; dashed: of all rows", overall.estimate.value)


def familiarity(found: Sequence[Familiarity]) -> str:
    """Draws the first metric by how often values were seen in training."""
    lines: list[tuple[str, Estimate | None]] = [(f"{each.what} {each.seen}", each.metric.estimate) for each in found]
    name = found[0].metric.name
    text = f"{name} by how often values were seen in training; all numbers are in the table"
    return _forest("familiarity", text, lines[:_MOST_LINES], name, None)


def _forest(
    name: str, text: str, lines: Sequence[tuple[str, Estimate | None]], label: str, overall: float | None
) -> str:
    """Draws a line for each estimate, with its interval."""

    def paint(axes: Axes) -> None:
        for place, (_, estimate) in enumerate(lines):
            if estimate is not None and estimate.value is not None:
                low, high = estimate.interval or (estimate.value, estimate.value)
                axes.plot([low, high], [place, place], color=SERIES[0], linewidth=1.4)
                axes.plot(estimate.value, place, "o", color=SERIES[0], markersize=4)
        if overall is not None:
            axes.axvline(overall, color=INK, linewidth=0.6, linestyle="--")
        axes.set_yticks(range(len(lines)), [line for line, _ in lines])
        axes.set(ylim=(len(lines) - 0.5, -0.5), xlabel=label)
        axes.grid(axis="y", visible=False)

    return draw(name, text, paint, (5.0, 0.7 + 0.22 * len(lines)))


def contributions(item: Explained) -> str:
    """Draws the largest contributions to an item's logit, positive and negative."""
    shown = [each for each in item.contributions if each.contribution][:_BARS]
    colours = dict(zip((part.name for part in item.parts), SERIES, strict=False))

    def paint(axes: Axes) -> None:
        axes.barh(
            range(len(shown)), [each.contribution for each in shown], color=[colours[each.part] for each in shown]
        )
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_yticks(range(len(shown)), [_short(f"{each.what} = {each.value}", _LINE_LENGTH) for each in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="contribution to the logit")
        axes.grid(axis="y", visible=False)
        axes.legend([Patch(color=colour) for colour in colours.values()], colours, loc="best")

    text = f"The largest contributions to the logit of {item.title}; all numbers are in the table"
    return draw(f"item-{item.place}", text, paint, (5.0, 0.7 + 0.22 * max(2, len(shown))))


def item_map(found: Map) -> str:
    """Draws items as points, the most frequent ones with their names."""
    rows = np.array([place.rows for place in found.places])
    named = _apart(found.places)

    def paint(axes: Axes) -> None:
        axes.scatter(
            [place.x for place in found.places], [place.y for place in found.places],
            s=60 * rows / rows.max(), color=SERIES[0], alpha=0.5, linewidths=0,
        )  # fmt: skip
        for place in named:
            axes.annotate(
                _short(place.name, _NAME_LENGTH), (place.x, place.y), (0, 3), textcoords="offset points", fontsize=8,
                ha="center", va="bottom",
            )  # fmt: skip
        axes.margins(x=0.12)
        axes.set(xlabel="first component", ylabel="second component")

    names = ", ".join(place.name for place in named)
    return draw("map", f"Map of {len(found.places)} items, among them {names}", paint, (5.0, 4.4))


def _apart(places: Sequence[Place]) -> Sequence[Place]:
    """The first places whose names do not overlap."""
    width, height = (np.ptp([getattr(place, axis) for place in places]) or 1.0 for axis in "xy")
    apart: list[Place] = []
    for place in places:
        reach = [_LETTER * (len(_short(each.name, _NAME_LENGTH)) + len(_short(place.name, _NAME_LENGTH))) / 2
                 for each in apart]  # fmt: skip
        if len(apart) < _NAMED and not any(
            abs(each.x - place.x) / width < far and abs(each.y - place.y) / height < _LINE
            for each, far in zip(apart, reach, strict=True)
        ):
            apart.append(place)
    return apart


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
