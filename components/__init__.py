"""The pipeline's TFX components, and code that they share."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Imports the artifact class that TFX looks up by its type's name (`components.properties.REPORT_TYPE`).

    TFX allows only one dot in that name, so the class must be found here. The import is lazy, since nothing else in
    this package needs it.
    """
    if name == "ReportArtifact":
        from components.report.component import ReportArtifact

        return ReportArtifact
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
