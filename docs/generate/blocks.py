"""The generated blocks of hand-written pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_BLOCK = re.compile(r"(?<=^<!-- generated: )([\w-]+)( -->\n)(?:.*?)(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL)


def filled(page: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """A page with what its blocks hold now.

    Args:
        page: Markdown, with `<!-- generated: NAME -->` and `<!-- end -->` around each block.
        blocks: name -> what the block holds.

    Raises:
        KeyError: the page has a block that is not among them.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}{block[2]}\n{blocks[block[1]]().strip()}\n\n", page)
