"""Past runs, from a store that a chain of quick components has filled."""

import dataclasses
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation, PushedModel

from components.report.component import ReportArtifact
from pipeline.commands.results import runs
from pipeline.config.metadata import Sqlite
from pipeline.run.history import Run, list_runs, with_report
from pipeline.run.metadata import connection
from pipeline.run.node import CompiledPipeline
from schema.errors import RanklineError

METRICS = {"auc": 0.75, "logloss": 0.5}


@component
def Trainer(custom_config: Parameter[str], model: OutputArtifact[Model]) -> None:  # noqa: N802
    os.makedirs(model.uri, exist_ok=True)


@component
def Evaluator(  # noqa: N802
    outcome: Parameter[str],
    model: InputArtifact[Model],
    baseline: InputArtifact[Model],
    evaluation: OutputArtifact[ModelEvaluation],
    blessing: OutputArtifact[ModelBlessing],
) -> None:
    if outcome == "fails":
        raise RanklineError("no verdict")
    evaluation.set_string_custom_property("metrics", '{"auc": 0.75, "logloss": 0.5}')
    refused = outcome == "refused"
    evaluation.set_string_custom_property("refusals", '["auc: too low"]' if refused else "[]")
    if outcome == "unjudged":
        evaluation.set_string_custom_property("metrics", "{}")
        evaluation.set_string_custom_property("unjudged", '["auc (4 rows)"]')
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", int(not refused))


@component
def Pusher(blessing: InputArtifact[ModelBlessing], pushed: OutputArtifact[PushedModel]) -> None:  # noqa: N802
    if blessing.get_int_custom_property("blessed"):
        pushed.set_string_custom_property("pushed_version", "1700000000")


@component
def Report(pushed: InputArtifact[PushedModel], report: OutputArtifact[ReportArtifact]) -> None:  # noqa: N802
    os.makedirs(report.uri, exist_ok=True)


@pytest.fixture
def run(tmp_path):
    """Runs the chain, up to what fails."""

    def run(run_id: str, outcome: str, dataset: str = "toys", model: str = "wide") -> None:
        config = f'{{"params": "{{\\"model\\": \\"{model}\\"}}", "run": "{run_id}"}}'
        trainer = Trainer(custom_config=config)
        blessed = Resolver(
            strategy_class=LatestBlessedModelStrategy,
            model=Channel(type=Model),
            model_blessing=Channel(type=ModelBlessing),
        ).with_id("LatestBlessedModel")
        blessed.add_downstream_node(trainer)
        evaluator = Evaluator(outcome=outcome, model=trainer.outputs["model"], baseline=trainer.outputs["model"])
        pusher = Pusher(blessing=evaluator.outputs["blessing"])
        report = Report(pushed=pusher.outputs["pushed"])
        pipeline = CompiledPipeline(
            Pipeline(
                pipeline_name=dataset,
                pipeline_root=str(tmp_path / dataset),
                components=[trainer, blessed, evaluator, pusher, report],
                enable_cache=True,
                metadata_connection_config=metadata.sqlite_metadata_connection_config(
                    str(tmp_path / "metadata.sqlite")
                ),
            ),
            run_id,
        )
        for node in pipeline.node_ids():
            pipeline.launch(node)

    return run


def test_runs_of_all_datasets_newest_first(run, tmp_path):
    run("1", "blessed")
    run("2", "refused", dataset="books", model="deep")
    run("3", "blessed")

    found = list_runs(connection(Sqlite(), tmp_path / "metadata.sqlite"))
    assert [dataclasses.replace(run, report=None) for run in found] == [
        Run("3", "toys", "wide", METRICS, True, "1700000000"),
        Run("2", "books", "deep", METRICS, False, None, refusals=("auc: too low",)),
        Run("1", "toys", "wide", METRICS, True, "1700000000"),
    ]
    assert all(Path(run.report).parts[-4:-1] == (run.dataset, "Report", "report") for run in found)


def test_a_run_that_could_not_be_judged_says_so(run, tmp_path):
    """Also where no metric has a value."""
    run("1", "unjudged")
    (found,) = list_runs(connection(Sqlite(), tmp_path / "metadata.sqlite"))
    assert (found.blessed, found.unjudged, found.metrics) == (True, ("auc (4 rows)",), {})
    listed = CliRunner().invoke(runs, ["--root", str(tmp_path)])
    assert "\n1 was blessed although it could not be judged by\n  auc (4 rows)\n" in listed.output


def test_the_blessing_of_another_run_is_not_this_ones(run, tmp_path):
    """Although the resolver has made it one of the run's artifacts."""
    run("1", "blessed")
    with pytest.raises(RanklineError, match="no verdict"):
        run("2", "fails")
    assert list_runs(connection(Sqlite(), tmp_path / "metadata.sqlite"))[0] == Run(
        "2", "toys", "wide", failed="Evaluator"
    )


def test_the_latest_report_is_that_of_the_latest_run_that_has_one(run, tmp_path):
    run("1", "blessed")
    run("2", "refused")
    with pytest.raises(RanklineError, match="no verdict"):
        run("3", "fails")
    store = connection(Sqlite(), tmp_path / "metadata.sqlite")
    reports = {each.run_id: each.report for each in list_runs(store)}
    assert with_report(store, None) == reports["2"] != reports["1"] == with_report(store, "1")
    with pytest.raises(
        RanklineError, match=r"^report: expected a run that came to its end, received 3, which did not$"
    ):
        with_report(store, "3")
    with pytest.raises(RanklineError, match=r"^report: expected one of the runs 3, 2, 1, received '12'"):
        with_report(store, "12")


def test_where_there_is_no_report_a_run_is_wanted(tmp_path):
    with pytest.raises(RanklineError, match=r"^report: expected a run .*, found none; `rankline run` makes one$"):
        with_report(connection(Sqlite(), tmp_path / "metadata.sqlite"), None)


def test_before_there_is_anything(tmp_path):
    assert list_runs(connection(Sqlite(), tmp_path / "metadata.sqlite")) == []


def test_an_empty_store(tmp_path):
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))):
        pass
    assert list_runs(connection(Sqlite(), tmp_path / "metadata.sqlite")) == []
