"""Pages in headless Chromium, with its complaints and its network requests."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_BROWSER = shutil.which("chromium")
_OWN_HOSTS = re.compile(r"https?://[a-z0-9.-]+\.(google|googleapis)\.com/")
"""What the browser asks on its own account; whether a page names these can be read in it."""

needed = pytest.mark.skipif(_BROWSER is None, reason="no chromium on the PATH; on Debian: apt-get install chromium")


@dataclass(frozen=True)
class Shown:
    """A page that was loaded."""

    document: str
    """After its scripts have run."""
    complaints: list[str]
    """On the console."""
    requests: list[str]
    """To other places than files."""


def show(page: Path, folder: Path, dark: bool = False, query: str = "") -> Shown:
    """Loads a page.

    Args:
        page: an HTML file.
        folder: empty, for what the browser writes.
        dark: whether the reader likes it dark.
        query: what the page is asked for, with a question mark in front; its scripts have ten seconds, by the
            page's own clock, to answer.
    """
    assert _BROWSER, "tests that call this are marked as `needed`"
    log = folder / "network.json"
    command = [
        _BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--enable-logging=stderr",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        *(["--virtual-time-budget=10000"] if query else []), "--dump-dom", page.as_uri() + query,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r'"url":"(https?://[^"]*)"', log.read_text())
    return Shown(
        document=done.stdout,
        complaints=re.findall(r"CONSOLE[^\]]*\] (.*)", done.stderr),
        requests=[url for url in found if not _OWN_HOSTS.match(url)],
    )


def measured(page: Path, folder: Path, width: int, expression: str) -> object:
    """What a JavaScript expression gives in a window that is `width` pixels wide, with `document` as the page's own.

    Chromium's own windows are not narrower than 500 pixels; frames are.
    """
    frame = folder / "frame.html"
    frame.write_text(
        f'<!DOCTYPE html><iframe width="{width}" height="800" style="border: 0" '
        f'srcdoc="{html.escape(page.read_text())}"></iframe><script>onload = () => {{'
        "const document = frames[0].document;"
        f"self.document.title = JSON.stringify({expression});}}</script>"
    )
    document = show(frame, folder).document
    (title,) = re.findall(r"<title>(.*?)</title>", document.partition("<iframe")[0] or document) or [""]
    return json.loads(html.unescape(title))
