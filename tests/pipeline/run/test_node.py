"""Nodes launched one by one, as pods of a cluster do, with components that take no time."""

import itertools
import os
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from pipeline.config.metadata import Sqlite
from pipeline.run.metadata import connection
from pipeline.run.node import CompiledPipeline, _refusal
from schema.errors import DataError, RanklineError


@component
def Write(text: Parameter[str], model: OutputArtifact[standard_artifacts.Model]) -> None:  # noqa: N802
    os.makedirs(model.uri, exist_ok=True)
    (Path(model.uri) / "text").write_text(text)
    model.set_string_custom_property("written", text)


@component
def Read(  # noqa: N802
    model: InputArtifact[standard_artifacts.Model], blessing: OutputArtifact[standard_artifacts.ModelBlessing]
) -> None:
    text = (Path(model.uri) / "text").read_text()
    if text == "bad":
        raise RanklineError("expected something good, received 'bad'")
    blessing.set_string_custom_property("read", text)


@component
def DieAtFirst(marker: Parameter[str], model: OutputArtifact[standard_artifacts.Model]) -> None:  # noqa: N802
    if not Path(marker).exists():
        Path(marker).touch()
        (Path(model.uri) / "half").touch()
        raise KeyboardInterrupt  # as with a kill, TFX does nothing any more
    (Path(model.uri) / "whole").touch()


def chain(
    folder: Path,
    run_id: str,
    text: str = "good",
    always_read: bool = False,
    store: metadata_store_pb2.ConnectionConfig | None = None,
) -> CompiledPipeline:
    write = Write(text=text)
    read = Read(model=write.outputs["model"])
    if always_read:
        read.ALWAYS_RUNS = True
    pipeline = Pipeline(
        pipeline_name="toy",
        pipeline_root=str(folder / "artifacts"),
        components=[read, write],
        enable_cache=True,
        metadata_connection_config=store or connection(Sqlite(), folder / "metadata.sqlite"),
    )
    return CompiledPipeline(pipeline, run_id)


def test_nodes_come_after_what_they_depend_on(tmp_path):
    assert list(chain(tmp_path, "1").node_ids()) == ["Write", "Read"]


def test_each_node_may_be_launched_by_a_process_of_its_own(tmp_path):
    written = chain(tmp_path, "1").launch("Write")
    read = chain(tmp_path, "1").launch("Read")

    assert not written.cached
    assert written.outputs["model"][0].get_string_custom_property("written") == "good"
    assert read.outputs["blessing"][0].get_string_custom_property("read") == "good"


def test_a_second_run_takes_the_firsts_outputs(tmp_path):
    first = [chain(tmp_path, "1").launch(node) for node in ("Write", "Read")]
    second = [chain(tmp_path, "2").launch(node) for node in ("Write", "Read")]

    assert [outcome.cached for outcome in first + second] == [False, False, True, True]
    assert second[1].outputs["blessing"][0].uri == first[1].outputs["blessing"][0].uri
    assert second[1].outputs["blessing"][0].get_string_custom_property("read") == "good"


def test_a_changed_parameter_makes_a_node_run_again_and_those_after_it(tmp_path):
    for run_id, text in (("1", "good"), ("2", "better")):
        outcomes = [chain(tmp_path, run_id, text).launch(node) for node in ("Write", "Read")]
    assert [outcome.cached for outcome in outcomes] == [False, False]
    assert outcomes[1].outputs["blessing"][0].get_string_custom_property("read") == "better"


def test_a_component_that_always_runs_is_not_cached(tmp_path):
    for run_id in ("1", "2"):
        outcomes = [chain(tmp_path, run_id, always_read=True).launch(node) for node in ("Write", "Read")]
    assert [outcome.cached for outcome in outcomes] == [True, False]


def test_what_a_component_refuses_is_raised_and_leaves_no_output(tmp_path):
    pipeline = chain(tmp_path, "1", "bad")
    pipeline.launch("Write")
    with pytest.raises(RanklineError, match=r"^expected something good, received 'bad'$"):
        pipeline.launch("Read")
    assert [path.name for path in (tmp_path / "artifacts" / "Read" / "blessing").iterdir()] == []


def test_a_node_whose_inputs_nobody_has_made_is_an_error(tmp_path):
    chain(tmp_path, "1").launch("Write")
    message = r"^Read: expected outputs of Write in this run, received none; run these first$"
    with pytest.raises(RanklineError, match=message):
        chain(tmp_path, "2").launch("Read")


def raised(*errors: Exception) -> Exception:
    """The last of the errors, each raised from the one before."""
    for cause, error in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


def test_a_users_mistake_is_told_as_it_was_meant_whatever_it_was_wrapped_into():
    mistake = DataError("a.csv: line 3: age: expected a number, received 'x' [while running 'Convert']")
    wrapped = raised(mistake, RuntimeError("bundle failed"), ValueError("worker failed"))
    assert str(_refusal(wrapped)) == "a.csv: line 3: age: expected a number, received 'x'"


def test_a_mistake_that_another_error_followed():
    def fail() -> None:
        try:
            raise DataError("no rows")
        finally:
            raise OSError("while cleaning up")

    with pytest.raises(OSError, match="while cleaning up") as caught:
        fail()
    assert str(_refusal(caught.value)) == "no rows"


def test_what_a_worker_of_an_engine_has_refused_is_found_in_what_it_has_printed():
    error = RuntimeError(
        "Pipeline 1 failed in state FAILED: java.lang.RuntimeException: Traceback (most recent call last):\n"
        '  File "schema/checks.py", line 100, in verify\n'
        '    raise DataError("\\n".join(problems))\n'
        "schema.errors.DataError: a.csv: line 3: age: expected a number, received 'x'\n"
        "b.csv: line 1: no rows [while running 'Verify']\n"
    )
    assert str(_refusal(error)) == "a.csv: line 3: age: expected a number, received 'x'\nb.csv: line 1: no rows"


def test_any_other_error_is_no_refusal():
    assert _refusal(RuntimeError("Traceback:\nValueError: schema.errors.DataError: no [while running 'x']")) is None
    assert _refusal(raised(KeyError("x"), ValueError("y"))) is None


def damage(uri: str) -> None:
    (Path(uri) / "text").write_text("goof")


def test_a_former_output_that_was_damaged_is_made_again_and_what_came_of_it_too(tmp_path):
    first = [chain(tmp_path, "1").launch(node) for node in ("Write", "Read")]
    (model,) = first[0].outputs["model"]
    damage(model.uri)
    second = [chain(tmp_path, "2").launch(node) for node in ("Write", "Read")]
    third = [chain(tmp_path, "3").launch(node) for node in ("Write", "Read")]

    assert [outcome.damaged for outcome in (*first, *second, *third)] == [[], [], [model.uri], [], [], []]
    assert [outcome.cached for outcome in second + third] == [False, False, True, True]
    assert (Path(second[0].outputs["model"][0].uri) / "text").read_text() == "good"
    assert third[0].outputs["model"][0].uri == second[0].outputs["model"][0].uri


def test_where_nothing_is_reused_nothing_is_looked_for(tmp_path):
    for run_id in ("1", "2"):
        outcome = [chain(tmp_path, run_id, always_read=True).launch(node) for node in ("Write", "Read")][1]
        if run_id == "1":
            damage(outcome.outputs["blessing"][0].uri)
    assert not outcome.damaged


def test_of_several_former_outputs_one_that_is_not_damaged_is_taken(tmp_path):
    first = chain(tmp_path, "1").launch("Write")
    without_cache = chain(tmp_path, "2")
    without_cache._nodes["Write"].execution_options.caching_options.enable_cache = False
    second = without_cache.launch("Write")
    damage(second.outputs["model"][0].uri)
    third = chain(tmp_path, "3").launch("Write")

    assert third.damaged == [second.outputs["model"][0].uri]
    assert third.cached
    assert third.outputs["model"][0].uri == first.outputs["model"][0].uri


def test_a_node_finds_its_folder_empty_where_metadata_was_lost(tmp_path):
    """Executions are counted anew then, and folders are named by their numbers."""
    (before,) = chain(tmp_path, "1").launch("Write").outputs["model"]
    (Path(before.uri) / "left").write_text("of the run before")
    (tmp_path / "metadata.sqlite").unlink()
    (after,) = chain(tmp_path, "1").launch("Write").outputs["model"]

    assert after.uri == before.uri
    assert os.listdir(after.uri) == ["text"]


def test_a_killed_node_that_is_launched_again_in_its_run_finds_its_folder_empty(tmp_path):
    """As a pod is that Kubernetes has moved."""
    pipeline = Pipeline(
        pipeline_name="toy",
        pipeline_root=str(tmp_path / "artifacts"),
        components=[DieAtFirst(marker=str(tmp_path / "marker"))],
        metadata_connection_config=connection(Sqlite(), tmp_path / "metadata.sqlite"),
    )
    with pytest.raises(KeyboardInterrupt):
        CompiledPipeline(pipeline, "1").launch("DieAtFirst")
    (half,) = tmp_path.rglob("half")
    (model,) = CompiledPipeline(pipeline, "1").launch("DieAtFirst").outputs["model"]

    assert model.uri == str(half.parent)
    assert os.listdir(model.uri) == ["whole"]


def test_a_runs_name_leads_to_no_path(tmp_path):
    folder = tmp_path / "root"
    for node in ("Write", "Read"):
        chain(folder, "../../elsewhere").launch(node)
    assert sorted(path.name for path in folder.iterdir()) == ["artifacts", "metadata.sqlite"]
    assert list(tmp_path.rglob("*elsewhere*")) == []
