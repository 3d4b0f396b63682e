import json
import logging
import types
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import cache_utils

from pipeline.config.metadata import MySql, PostgreSql, Sqlite
from pipeline.config.run import load
from pipeline.run.metadata import connection, open_store
from schema.errors import SpecError
from tests.pipeline.postgres import PASSWORD, postgres
from tests.pipeline.run.test_node import chain

DEFAULT = Path("/runs/metadata.sqlite")


def test_a_file_in_the_root_unless_another_is_named():
    assert connection(load(None, {}, ()).metadata, DEFAULT).sqlite.filename_uri == "/runs/metadata.sqlite"
    assert connection(Sqlite(path=Path("/else/where")), DEFAULT).sqlite.filename_uri == "/else/where"


def test_servers_with_the_password_from_the_environment(monkeypatch):
    monkeypatch.setenv("MLMD_PASSWORD", "one")
    monkeypatch.setenv("OTHER", "two")
    mysql = connection(MySql(name="mysql", host="db"), DEFAULT).mysql
    assert (mysql.host, mysql.port, mysql.database, mysql.user, mysql.password) == (
        "db", 3306, "rankline", "rankline", "one",
    )  # fmt: skip
    postgresql = connection(
        PostgreSql(name="postgresql", host="db", port=1, database="d", user="u", password_env="OTHER"),  # noqa: S106
        DEFAULT,
    ).postgresql
    assert (postgresql.host, postgresql.port, postgresql.dbname, postgresql.user, postgresql.password) == (
        "db", "1", "d", "u", "two",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{name: postgres, host: db}",
         "metadata.name: expected one of sqlite, mysql, postgresql, received 'postgres'; did you mean 'postgresql'?"),
        ("{name: mysql}", "metadata.host: expected a value, received none"),
        ("{name: mysql, host: db, port: 0}", "metadata.port: expected a number of at least 1, received 0"),
        ("{name: mysql, host: db, password: p}", "metadata.password: expected one of the keys host, database, user, "
         "password_env, name, port, received 'password'; did you mean 'password_env'?"),
        ("{path: a}", "metadata.name: expected a value, received none"),
    ],
)  # fmt: skip
def test_mistakes(setting, message):
    with pytest.raises(SpecError) as caught:
        load(None, {}, [f"metadata={setting}"])
    assert str(caught.value) == f"configuration: {message}"


def test_what_is_asked_for_by_ids_comes_in_their_order(tmp_path):
    store = open_store(connection(Sqlite(), tmp_path / "metadata.sqlite"))
    examples, graph = (
        store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in ("Examples", "TransformGraph")
    )
    first, second, third = store.put_artifacts(
        [metadata_store_pb2.Artifact(type_id=kind, uri=kind_uri) for kind, kind_uri in
         ((examples, "a"), (graph, "b"), (examples, "c"))]
    )  # fmt: skip
    found = store.get_artifacts_by_id([third, first, 99, second])
    assert [artifact.uri for artifact in found] == ["c", "a", "b"]
    found_types = store.get_artifact_types_by_id(artifact.type_id for artifact in found)
    assert [kind.name for kind in found_types] == ["Examples", "Examples", "TransformGraph"]


def test_cached_outputs_are_not_taken_for_each_other(tmp_path):
    store = open_store(connection(Sqlite(), tmp_path / "metadata.sqlite"))
    names = ("Examples", "TransformGraph")
    kinds = {name: store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in names}
    execution_type = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Transform"))
    # The last output has the first id: as where PostgreSQL has moved a row that was updated.
    outputs = []
    for name in reversed(names):
        live = metadata_store_pb2.Artifact.LIVE
        artifact = metadata_store_pb2.Artifact(type_id=kinds[name], uri=str(tmp_path / name), state=live)
        event = metadata_store_pb2.Event(type=metadata_store_pb2.Event.OUTPUT)
        event.path.steps.add(key=name)
        event.path.steps.add(index=0)
        (artifact.id,) = store.put_artifacts([artifact])
        outputs.insert(0, (artifact, event))
        (tmp_path / name).mkdir()
    execution = metadata_store_pb2.Execution(
        type_id=execution_type, last_known_state=metadata_store_pb2.Execution.COMPLETE
    )
    context_type = store.put_context_type(metadata_store_pb2.ContextType(name="cache"))
    context = metadata_store_pb2.Context(type_id=context_type, name="key")
    (context.id,) = store.put_contexts([context])
    store.put_execution(execution, outputs, [context])
    handle = types.SimpleNamespace(store=store)
    found = cache_utils.get_cached_outputs(handle, context)
    assert {key: [artifact.uri for artifact in artifacts] for key, artifacts in found.items()} == {
        name: [str(tmp_path / name)] for name in names
    }


def test_nodes_find_each_other_through_a_server(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("MLMD_PASSWORD", PASSWORD)
    caplog.set_level(logging.INFO)
    text = json.dumps({"of it": json.dumps({"it's": "ä \\ \n"})})
    with postgres() as port:
        store = connection(PostgreSql(name="postgresql", host="127.0.0.1", port=port), DEFAULT)
        outcomes = [chain(tmp_path, run, text, store=store).launch(node) for run in "12" for node in ("Write", "Read")]
        kind = metadata_store_pb2.ArtifactType(name="Kind", properties={"splits": metadata_store_pb2.STRING})
        open_store(store).put_artifact_type(kind)
        kept = open_store(store).get_artifact_type("Kind")

    assert dict(kept.properties) == dict(kind.properties)
    assert [outcome.cached for outcome in outcomes] == [False, False, True, True]
    assert outcomes[-1].outputs["blessing"][0].get_string_custom_property("read") == text
    assert PASSWORD not in "".join(capfd.readouterr()) + caplog.text
