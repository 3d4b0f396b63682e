"""Where a Vertex AI job runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOUNTS = Path("/gcs")
"""Where Vertex AI has each bucket of Google Cloud Storage mounted, by its name."""


class Vertex(BaseModel):
    """The part of a job of `rankline compile --target vertex` that is not the pipeline itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Annotated[str, Field(min_length=1)]
    """The container image with Rankline and its environment."""
    root: str
    """The `root` of the job: a folder in a bucket, as `gs://bucket/folder`."""

    @field_validator("root")
    @classmethod
    def _in_a_bucket(cls, root: str) -> str:
        if not re.fullmatch(r"gs://[a-z0-9][-a-z0-9._]*(/[-\w.]+)+", root) or ".." in root.split("/"):
            raise ValueError(f"expected a folder in a bucket such as gs://bucket/runs, received {root!r}")
        return root

    @property
    def mounted_root(self) -> Path:
        """The same as a path in the job's containers."""
        return MOUNTS / self.root.removeprefix("gs://")
