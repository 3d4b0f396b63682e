"""The targets of the Makefile, with their descriptions."""

from __future__ import annotations

import re
from pathlib import Path

from docs.generate.markdown import table


def targets(makefile: Path) -> str:
    """A table of all targets."""
    found = re.findall(r"^([a-z-]+):.*## (.*)$", makefile.read_text(), re.MULTILINE)
    return table(("Target", "Does"), [(f"`make {name}`", meaning) for name, meaning in found])
