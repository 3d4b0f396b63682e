"""Rankline in Python: from raw click or rating logs to a validated, versioned, served ranking model.

::

    import rankline

    print(rankline.validate("bookshop").splits)
    result = rankline.run("bookshop", config={"train": {"epochs": 3}})
    if result.version is None:
        print(result.refusals)
    with rankline.serve("bookshop") as target, rankline.Client(target, "bookshop") as client:
        client.wait_until_available(60)
        best = client.recommend({"reader_id": "r3"}, k=5)

The names in `__all__` are stable within a major version; the packages below (`pipeline`, `components`, `trainer`,
`schema`, `serving`) may change in any release. Errors that a user can correct are raised as `RanklineError`, with a
message that says what to do. Heavy modules are imported on first use.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from rankline import _neighbours

if TYPE_CHECKING:
    from components.report.document import ExplainedRanking, Report
    from components.run_result import RunResult
    from pipeline.config.run import RunConfig
    from pipeline.jobs.compare.run import Comparison
    from rankline._jobs import (
        compare,
        explain,
        load_catalogue,
        load_config,
        load_dataset,
        load_judged,
        load_report,
        load_rows,
        picture,
        refresh,
        run,
        serve,
        validate,
    )
    from schema.catalogue import Catalogue
    from schema.dataset import Dataset
    from schema.describe import Description
    from schema.errors import RanklineError
    from serving.async_client import AsyncClient
    from serving.channel import Tls
    from serving.client import Client

__all__ = [
    "AsyncClient",
    "Catalogue",
    "Client",
    "Comparison",
    "Dataset",
    "Description",
    "ExplainedRanking",
    "RanklineError",
    "Report",
    "RunConfig",
    "RunResult",
    "Tls",
    "compare",
    "explain",
    "load_catalogue",
    "load_config",
    "load_dataset",
    "load_judged",
    "load_report",
    "load_rows",
    "picture",
    "refresh",
    "run",
    "serve",
    "validate",
]

_neighbours.check()

_HOMES = {
    "AsyncClient": "serving.async_client",
    "Catalogue": "schema.catalogue",
    "Client": "serving.client",
    "Comparison": "pipeline.jobs.compare.run",
    "Dataset": "schema.dataset",
    "Description": "schema.describe",
    "ExplainedRanking": "components.report.document",
    "RanklineError": "schema.errors",
    "Report": "components.report.document",
    "RunConfig": "pipeline.config.run",
    "RunResult": "components.run_result",
    "Tls": "serving.channel",
}
"""Name -> the module that defines it, for names that are not in `rankline._jobs`."""

# If type checkers saw `__getattr__`, they would accept any name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Imports a public name on first use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOMES.get(name, "rankline._jobs")
        with _imports(home):
            value = getattr(importlib.import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _imports(home: str) -> contextlib.AbstractContextManager[None]:
    """A context that hides what TensorFlow prints when a module imports it."""
    if not home.startswith(("components.", "pipeline.")):
        return contextlib.nullcontext()
    from pipeline.terminal.console import hushed

    return hushed()
