"""The configuration of a Vertex AI job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOUNTS = Path("/gcs")
"""The folder in which Vertex AI mounts each bucket of Google Cloud Storage, by the bucket's name."""


class Vertex(BaseModel):
    """The image and the root of a Vertex AI job, for `rankline compile --target vertex`."""

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
        """The `root` as a path in the job's containers."""
        return MOUNTS / self.root.removeprefix("gs://")
