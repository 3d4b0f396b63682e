"""The configuration of ML Metadata's store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Sqlite(BaseModel):
    """A file: for one machine, or for pods that run one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["sqlite"] = "sqlite"
    path: Path | None = None
    """The path of the file. By default it is `metadata.sqlite` in the root of all runs."""


class _Server(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """The host name of the server."""
    database: str = "rankline"
    """The name of the database, which is created if the server has none of this name."""
    user: str = "rankline"
    """The name of a user who may create and change tables."""
    password_env: str = "MLMD_PASSWORD"  # noqa: S105 (the name of a variable)
    """The environment variable that holds the password, so that no file contains it. If the variable is not set, there
    is no password."""

    @property
    def password(self) -> str:
        return os.environ.get(self.password_env, "")


class MySql(_Server):
    """A MySQL server."""

    name: Literal["mysql"]
    port: Annotated[int, Field(ge=1, le=65535)] = 3306
    """The port that the server listens on."""


class PostgreSql(_Server):
    """A PostgreSQL server."""

    name: Literal["postgresql"]
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """The port that the server listens on."""


MetadataStore = Annotated[Sqlite | MySql | PostgreSql, Field(discriminator="name")]
