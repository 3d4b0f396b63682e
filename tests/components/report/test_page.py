"""The page in a browser and for a reader, and the Markdown."""

import html
import html.parser
import itertools
import re
from importlib import resources

import markdown_it
import pytest

from components.evaluation.verdict import Estimate, Metric
from components.report import charts, page
from components.report.document import Compared, ExplainedRanking, Map, Place, Report
from tests import chromium

PAIRS = [
    ("ink", "paper"), ("soft", "paper"), ("ink", "band"), ("soft", "band"), ("series-1", "paper"),
    ("good", "paper"), ("bad", "paper"), ("good", "good-band"), ("bad", "bad-band"), ("ink", "good-band"),
    ("ink", "bad-band"), ("series-2", "paper"), ("series-3", "paper"), ("unsure", "unsure-band"),
    ("ink", "unsure-band"),
]  # fmt: skip


class Elements(html.parser.HTMLParser):
    """Every element's name and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def elements(report):
    return Elements(page.html(report)).found


@pytest.fixture
def written(report, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page.html(report))
    return path


def test_the_verdict_comes_first(report):
    body = page.html(report).partition("<body>")[2]
    verdict = body.index("Refused")
    assert verdict < body.index("expected at least 0.99, received 0.7100") < body.index("<nav")


def test_names_are_shown_as_they_are(report):
    text = page.html(report)
    assert "&lt;b&gt;shop&lt;/b&gt;" in text
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert "alert" not in re.sub(r"&lt;script&gt;alert\(\d\)&lt;/script&gt;", "", text)


def test_it_needs_nothing_from_elsewhere(elements):
    for tag, attributes in elements:
        assert tag not in ("script", "iframe", "object", "embed", "img")
        for name in ("src", "href", "xlink:href", "action", "style"):
            value = attributes.get(name) or ""
            assert "//" not in value.replace("data:,", ""), (tag, attributes)
    style = resources.files("components.report").joinpath("templates", "style.css").read_text()
    assert "@import" not in style
    assert "url(" not in style


def test_links_lead_somewhere_and_ids_are_there_once(elements):
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for name in ("href", "xlink:href", "aria-labelledby", "clip-path"):
            target = re.search(r"#([^)]+)", attributes.get(name) or "") or re.match(
                r"([\w-]+-title)$", attributes.get(name) or ""
            )
            assert not target or target[1] in ids, attributes


def test_what_scrolls_can_be_reached_by_keys_and_what_is_drawn_is_described(elements):
    for tag, attributes in elements:
        if attributes.get("class") == "table":
            assert (attributes["tabindex"], attributes["role"]) == ("0", "region")
            assert attributes["aria-label"]
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (attributes["role"] == "img" and attributes["aria-label"])
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_contrast(theme):
    """WCAG 2's ratio of 4.5 to 1 for text."""
    style = resources.files("components.report").joinpath("templates", "style.css").read_text()
    light, dark, printed = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", {"light": light, "dark": dark, "print": printed}[theme]))
    for ink, paper in PAIRS:
        bright, dim = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_charts_take_their_colours_from_the_page(report):
    text = page.html(report).partition("<body>")[2]
    colours = set(re.findall(r"#[0-9a-f]{6}\b", text))
    assert colours <= {"#ffffff", "#000000"}
    assert "currentColor" in text
    assert "var(--series-1)" in text


@chromium.needed
def test_a_browser_loads_it_without_complaints_and_asks_for_nothing(written, tmp_path):
    shown = chromium.show(written, tmp_path)
    assert (shown.complaints, shown.requests) == ([], [])
    assert shown.document.count("<section") == written.read_text().count("<section")


@chromium.needed
def test_it_fits_into_400_pixels(written, tmp_path):
    wide = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.table, nav, pre, .skip')).map("
    wide += "e => e.getBoundingClientRect().right)"
    measures = f"[document.documentElement.scrollWidth, document.defaultView.innerWidth, Math.max(...{wide})]"
    scroll_width, inner_width, rightmost = chromium.measured(written, tmp_path, 400, measures)
    assert scroll_width <= inner_width == 400
    assert rightmost <= 400


def test_what_there_is_nothing_to_say_of_is_left_out(report):
    """A number as a label, no ranking, one epoch, a counted model, nothing to compare with."""
    metric = Metric(name="rmse", better="lower", estimate=Estimate(value=1.5))
    text = page.html(
        report.model_copy(
            update={
                "label": "number", "unit": "rows", "metrics": [metric], "slices": [], "comparison": None,
                "curves": report.curves.model_copy(update={"roc": [], "precision_recall": []}), "vocabularies": [],
                "training": report.training.model_copy(update={"epochs": report.training.epochs[:1]}),
                "ranking": None, "familiarity": [], "parts": [], "weights": [], "explanation": None, "neighbours": [],
                "map": None, "warnings": [],
                "verdict": report.verdict.model_copy(update={"blessed": True, "conditions": [], "remarks": []}),
            }
        )
    )  # fmt: skip
    assert re.findall(r'<section id="(\w+)"', text) == [
        "gate", "data", "features", "training", "metrics", "slices", "curves", "memory", "errors", "origin",
    ]  # fmt: skip
    assert "Blessed" in text
    assert "ROC" not in text


def test_a_model_that_could_not_be_judged_is_not_just_blessed(report):
    """Its AUC has no value, neither over all rows nor in the slice."""
    nothing = Metric(name="auc", better="higher", estimate=Estimate(value=None))
    verdict = report.verdict.model_copy(update={"blessed": True, "unjudged": ["auc (<4> rows of 100)"], "pushed": "/7"})
    slices = [report.slices[0].model_copy(update={"metrics": [nothing]})]
    of_one_class = {"curves": report.curves.model_copy(update={"roc": [], "precision_recall": []})}
    unjudged = report.model_copy(update={"verdict": verdict, "metrics": [nothing], "slices": slices, **of_one_class})
    text = page.html(unjudged)
    assert "✓ Blessed although it could not be judged</strong>" in text
    assert "<li>auc (&lt;4&gt; rows of 100)</li>" in text
    assert "\n- **Not judged** by auc (&lt;4> rows of 100)\n" in page.markdown(unjudged)
    assert "although it could not" not in page.html(report)


def test_a_comparison_says_by_how_much(report):
    text = page.html(report).partition('<section id="comparison"')[2]
    won, lost = re.findall(r"<p>Slices whose auc is (.*?)</p>", text, re.DOTALL)
    won = " ".join(re.sub("<.*?>", "", won).split())
    assert won == "better by more than chance: city = a|b +0.0300 (+0.0100 to +0.0500)"
    assert lost.split()[-1] == "none"


def test_names_on_the_map_do_not_cover_each_other():
    at = {"often": (0, 0), "covered": (0.01, 0.01), "far": (1, 1), "a" * 30: (0, 1)}
    places = [Place(name=name, x=x, y=y, rows=9) for name, (x, y) in at.items()]
    drawn = charts.item_map(Map(places=places, explained=0.5))
    assert f'aria-label="Map of 4 items, among them often, far, {"a" * 30}"' in drawn
    assert f">{'a' * 23}…<" in drawn
    assert ">covered<" not in drawn


def test_two_runs_beside_each_other(report):
    text = page.compared_html(
        Compared(
            run_ids=("1", "2"), dataset="shop", models=("wide", "<deep>"), unit="user", rows=400,
            metrics=report.metrics, slices=report.slices, comparison=report.comparison,
        )
    )  # fmt: skip
    assert "Run 2, compared with run 1" in text
    assert "&lt;deep&gt; beside wide" in text
    assert re.findall(r'<section id="(\w+)"', text) == ["metrics", "comparison", "slices"]
    assert '<th scope="col" class="number">wide</th>' in text


@pytest.fixture
def explained(report, tmp_path):
    path = tmp_path / "explained.html"
    ranking = ExplainedRanking(run_id="1", dataset="shop", model="wide_deep", explanation=report.explanation)
    path.write_text(page.explained_html(ranking))
    return path


def test_one_list_has_a_page_of_its_own(explained):
    text = explained.read_text()
    assert "<h1>Why user &lt;b&gt;ann&lt;/b&gt; is shown what</h1>" in text
    assert "integrated gradients, 32 steps" in text
    assert re.search(r"<td[^>]*>−0.5000</td><td[^>]*>−0.5000</td></tr>", text)
    assert "Intervals hold" not in text
    assert "<nav" not in text  # one section needs no way to it


@chromium.needed
def test_a_browser_shows_that_page_too(explained, tmp_path):
    shown = chromium.show(explained, tmp_path)
    assert (shown.complaints, shown.requests) == ([], [])
    assert shown.document.count("<svg") == explained.read_text().count("<svg") > 0


def test_facts_survive_their_file(report):
    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.fixture
def markdown(report):
    """Rendered as GitHub does."""
    return markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(page.markdown(report))


def test_markdown_has_its_tables_and_no_other_cells(markdown):
    tables = [
        [
            [html.unescape(re.sub("<.*?>", "", cell)) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        ]
        for table in re.findall("<table>(.*?)</table>", markdown, re.DOTALL)
    ]
    rows = [row for table in tables for row in table]
    assert all(len(row) == len(table[0]) for table in tables for row in table)
    assert rows[0] == ["metric", "value", "last blessed", "change", "what it is"]
    assert rows[1][:4] == ["auc", "0.7100 (0.6900 to 0.7300)", "0.6800", "+0.0300 (+0.0100 to +0.0500)"]
    assert ["✗ auc", "at least 0.99", "0.7100 (0.6900 to 0.7300)", "−0.2800"] in rows
    assert any(row[0] == "city = a|b (too few to tell)" for row in rows)
    assert ["<script>alert(2)</script>", "text", "25.0%", "2", '"a" 60%, <b> 40%', "0.300"] in rows
    assert ["1. $m$ & co", "0.7500", "user", "<b>ann</b>", "deep", "+0.9990"] in rows
    assert ["model", "7", "/runs/<model>/7"] in rows


def test_markdown_says_what_the_page_says(markdown):
    assert re.findall("<summary>(.*?)</summary>", markdown) == [
        "Data", "Features", "Training", "The worst slices", "Calibration by decile", "Ranking",
        "Memorisation and generalisation", "One ranking explained", "Items", "Comparison with the last blessed model",
        "Worst errors", "Origin, and how to reproduce it",
    ]  # fmt: skip
    assert "<script>" not in markdown
    assert "|" not in markdown.replace("a|b", "")  # all tables are tables
    assert '<code class="language-yaml">train: {epochs: 3}\n' in markdown
