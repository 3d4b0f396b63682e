"""Our TFX components, and what they share."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """What TFX looks for by the name of an artifact's type (`components.properties.REPORT_TYPE`).

    It allows for one dot in that, and nothing else in this package needs what comes with the import.
    """
    if name == "ReportArtifact":
        from components.report.component import ReportArtifact

        return ReportArtifact
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
