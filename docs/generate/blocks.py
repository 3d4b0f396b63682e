"""The generated blocks of hand-written pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_BLOCK = re.compile(r"(?<=^<!-- generated: )([\w-]+)( -->\n)(?:.*?)(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL)


def filled(page: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """Fills the blocks of a page with their current contents.

    Args:
        page: Markdown, with `<!-- generated: NAME -->` and `<!-- end -->` around each block.
        blocks: name -> a function that returns the block's contents.

    Raises:
        KeyError: the page has a block whose name is not in `blocks`.
    """
    return _BLOCK.sub(lambda block: f"{block[1]}{block[2]}\n{blocks[block[1]]().strip()}\n\n", page)
