"""ML Metadata's store, through which a run finds earlier results, and its pods find each other's outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2

from pipeline.config.metadata import MySql, PostgreSql, Sqlite


def connection(store: Sqlite | MySql | PostgreSql, default_path: Path) -> metadata_store_pb2.ConnectionConfig:
    """The connection of ML Metadata to a store.

    Args:
        store: the configuration of the store.
        default_path: the file of a `Sqlite` without a path.
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
    """Returns artifacts and types in the order of the requested ids.

    ml-metadata returns them in the order of the database's rows, which PostgreSQL does not define. If that order
    differs, TFX 1.21 mistakes the outputs of a former execution for each other.
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
    """Stores a character of Unicode's private use area in the place of each backslash.

    ml-metadata 1.21 quotes texts with backslashes (as JSON within JSON has) in a way that is a syntax error in
    PostgreSQL.
    """

    def _call(self, method_name: str, request: Message, response: Message) -> None:
        _replace(request, _BACKSLASH, _STAND_IN)
        super()._call(method_name, request, response)
        _replace(response, _STAND_IN, _BACKSLASH)


def _replace(message: Any, old: str, new: str) -> None:
    """Replaces a text in the values of all properties in a message."""
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
