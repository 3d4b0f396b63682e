"""The site of the documentation: it builds without a warning, its links lead somewhere, and a browser shows it."""

import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests import chromium

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 600


class Page(HTMLParser):
    """What a page refers to, and where it can be referred to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.places.add(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name == "src" or (name == "href" and tag == "link"):
                self.loaded.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_every_page_is_built(site):
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert written - {path.relative_to(site) for path in site.rglob("*.html")} == set()


def test_links_lead_somewhere(pages):
    missing = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ("https", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target)
            if not target.exists() or (parts.fragment and known and unquote(parts.fragment) not in known.places):
                missing.append(f"{path.name}: {link}")
    assert missing == []


def test_pages_load_nothing_from_the_network(pages):
    assert len(pages) > 30
    loaded = [each for page in pages.values() for each in page.loaded]
    assert [each for each in loaded if urlsplit(each).scheme not in ("", "data")] == []


def complaints(shown: chromium.Shown) -> list[str]:
    """What is on the console, but for what the theme says that it does."""
    return [line for line in shown.complaints if not line.startswith('"[PST]: ')]


@chromium.needed
@pytest.mark.parametrize(
    ("page", "headings"),
    [("index.html", ["Rankline"]), ("reference/run.html", ["run.yaml", "Keys", "train", "gate"])],
)
def test_a_browser_shows_a_page_from_disk(site, tmp_path, page, headings):
    shown = chromium.show(site / page, tmp_path)
    assert complaints(shown) == []
    assert shown.requests == []
    found = re.findall(r"<h[1-6][^>]*>(.*?)<a class=\"headerlink\"", shown.document, re.DOTALL)
    titles = [html.unescape(re.sub("<.*?>", "", title)) for title in found]
    assert [title for title in headings if title not in titles] == []
    assert re.search(r'<input[^>]* type="search"', shown.document)


@chromium.needed
def test_the_search_finds_a_key_from_disk(site, tmp_path):
    shown = chromium.show(site / "search.html", tmp_path, query="?q=embedding_l2")
    assert complaints(shown) == []
    (results,) = re.findall(r'<div id="search-results">(.*?)</main>', shown.document, re.DOTALL)
    assert 'href="reference/run.html' in results
