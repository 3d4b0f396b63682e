"""Where ML Metadata is kept, by which a run knows what was done before, and its pods find each other's outputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import ml_metadata as mlmd
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2
from pydantic import BaseModel, ConfigDict, Field


class Sqlite(BaseModel):
    """A file: for one machine, or for pods that come one after the other."""

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
    """The environment variable that holds the password, which thus is in no file. Without the variable there is no
    password."""

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


def connection(store: Sqlite | MySql | PostgreSql, default_path: Path) -> metadata_store_pb2.ConnectionConfig:
    """How ML Metadata connects to a store.

    Args:
        store: which.
        default_path: the file of a `Sqlite` that names none.
    """
    config = metadata_store_pb2.ConnectionConfig()
    match store:
        case Sqlite():
            config.sqlite.filename_uri = str(store.path or default_path)
            config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        case MySql():
            config.mysql.host, config.mysql.port, config.mysql.database = store.host, store.port, store.database
            config.mysql.user, config.mysql.password = store.user, store.password
        case PostgreSql():
            config.postgresql.host, config.postgresql.port = store.host, str(store.port)
            config.postgresql.dbname, config.postgresql.user = store.database, store.user
            config.postgresql.password = store.password
    return config


def open_store(connection: metadata_store_pb2.ConnectionConfig) -> mlmd.MetadataStore:
    """The store behind a connection."""
    return (_PostgreSqlStore if connection.HasField("postgresql") else _Store)(connection)


class _Store(mlmd.MetadataStore):  # type: ignore[misc]
    """Answers in the order of the question.

    ml-metadata answers in the order of a database's rows, by which PostgreSQL promises nothing. TFX 1.21 takes the
    outputs of a former execution for each other's where that is not the order of the question.
    """

    def get_artifacts_by_id(self, artifact_ids: Iterable[int], extra_options: Any = None) -> list[Any]:
        asked = list(artifact_ids)
        found = {artifact.id: artifact for artifact in super().get_artifacts_by_id(asked, extra_options)}
        return [found[each] for each in asked if each in found]

    def get_artifact_types_by_id(self, type_ids: Iterable[int], extra_options: Any = None) -> list[Any]:
        asked = list(type_ids)
        found = {kind.id: kind for kind in super().get_artifact_types_by_id(asked, extra_options)}
        return [found[each] for each in asked if each in found]


_BACKSLASH, _STAND_IN = "\\", "\ue05c"


class _PostgreSqlStore(_Store):
    """Keeps another character, of Unicode's private use, in the place of backslashes.

    ml-metadata 1.21 quotes texts that hold one (JSON in JSON does) so that PostgreSQL finds a syntax error.
    """

    def _call(self, method_name: str, request: Message, response: Message) -> None:
        _replace(request, _BACKSLASH, _STAND_IN)
        super()._call(method_name, request, response)
        _replace(response, _STAND_IN, _BACKSLASH)


def _replace(message: Any, old: str, new: str) -> None:
    """Replaces within the values of all properties in a message."""
    for field, value in message.ListFields():
        if field.name == "string_value":
            message.string_value = value.replace(old, new)
        elif field.message_type and field.message_type.GetOptions().map_entry:
            for entry in value.values():
                if isinstance(entry, Message):
                    _replace(entry, old, new)
        elif field.message_type:
            for part in value if isinstance(value, Sequence) else [value]:
                _replace(part, old, new)
