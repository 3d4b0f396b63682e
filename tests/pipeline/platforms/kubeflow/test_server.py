"""Submitting and scheduling, with a server on loopback that is as strict as Kubeflow's."""

import contextlib
import json
from http import HTTPStatus

import pytest

from pipeline.platforms.kubeflow import client
from pipeline.platforms.kubeflow.server import Package, Server
from schema.errors import RanklineError
from tests.pipeline.platforms.kubeflow.test_package import CONFIG, GOLDEN, SETTINGS, SHOP

ALL_DONE = ("SUCCEEDED", {"examplegen": "SUCCEEDED", "trainer": "SUCCEEDED"})


@contextlib.contextmanager
def connected(host):
    with client.connected(host) as asked:
        yield Server(asked)


@pytest.fixture(scope="module")
def package():
    return Package(GOLDEN)


# Runs.


def test_a_run_is_of_an_uploaded_version_and_has_all_parameters(server, host, package):
    with connected(host) as kubeflow:
        job_id = kubeflow.submit(package, {"run_id": "monday"}, service_account="rankline")
        assert kubeflow.link(job_id) == f"{host}/#/runs/details/{job_id}"

    (run,) = server.runs
    assert (run.run_id, run.display_name, run.service_account) == (job_id, "monday", "rankline")
    parameters = run.runtime_config.parameters
    assert set(parameters) == set(package.defaults)
    assert (parameters["run_id"], parameters["settings"], parameters["model"]) == (
        "monday",
        ["train.epochs=3"],
        "dcn_v2",
    )
    assert json.loads(parameters["config"])["metadata"]["name"] == "postgresql"
    (pipeline,) = server.pipelines
    assert pipeline.display_name == "rankline-shop"
    version = server.versions[-1]
    assert (version.display_name, version.pipeline_version_id) == (
        package.version,
        run.pipeline_version_reference.pipeline_version_id,
    )
    (experiment,) = server.experiments
    assert (experiment.display_name, experiment.experiment_id) == ("rankline-shop", run.experiment_id)


def test_a_run_without_a_name_gets_kubeflows(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.submit(package, {})
    (run,) = server.runs
    assert run.runtime_config.parameters == package.defaults
    assert run.runtime_config.parameters["run_id"] == ""
    assert run.display_name.startswith("rankline-shop 2")


def test_a_package_is_uploaded_once_and_a_changed_one_is_a_new_version(server, host, package, tmp_path):
    with connected(host) as kubeflow:
        kubeflow.submit(package, {})
        uploaded = len(server.versions)
        kubeflow.submit(package, {})
        assert len(server.versions) == uploaded

        (tmp_path / "package.yaml").write_text(GOLDEN.read_text().replace("dcn_v2", "wide"))
        changed = Package(tmp_path / "package.yaml")
        kubeflow.submit(changed, {})
    assert [version.display_name for version in server.versions[uploaded:]] == [changed.version]
    assert [pipeline.display_name for pipeline in server.pipelines] == ["rankline-shop"]
    assert server.runs[-1].runtime_config.parameters["model"] == "wide"


def test_an_experiment_that_is_asked_for_by_name_has_to_be_there(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.submit(package, {})
        kubeflow.submit(package, {}, experiment="rankline-shop")
    with (
        pytest.raises(
            RanklineError,
            match=r"--experiment: .* one of rankline-shop, received 'rankline-shp'; did you mean 'rankline-shop'\?",
        ),
        connected(host) as kubeflow,
    ):
        kubeflow.submit(package, {}, experiment="rankline-shp")
    assert [experiment.display_name for experiment in server.experiments] == ["rankline-shop"]
    assert len(server.runs) == 2


def test_progress_is_that_of_the_components_until_the_run_has_ended(server, host, package):
    of_kubeflow = {"root": "RUNNING", "root-driver": "SUCCEEDED", "examplegen-driver": "SUCCEEDED"}
    server.course = [
        ("PENDING", {}),
        ("RUNNING", of_kubeflow | {"examplegen": "RUNNING"}),
        ("RUNNING", of_kubeflow | {"examplegen": "SUCCEEDED", "statisticsgen": "RUNNING"}),
        ("FAILED", of_kubeflow | {"examplegen": "SUCCEEDED", "statisticsgen": "FAILED"}),
    ]
    with connected(host) as kubeflow:
        seen = list(kubeflow.progress(package, kubeflow.submit(package, {})))
    assert [progress.state for progress in seen] == ["PENDING", "RUNNING", "RUNNING", "FAILED"]
    assert [{task.name: task.state for task in progress.tasks} for progress in seen] == [
        {},
        {"ExampleGen": "RUNNING"},
        {"ExampleGen": "SUCCEEDED", "StatisticsGen": "RUNNING"},
        {"ExampleGen": "SUCCEEDED", "StatisticsGen": "FAILED"},
    ]
    assert {task.name: task.seconds for task in seen[2].tasks} == {"ExampleGen": 90, "StatisticsGen": 0}


def test_a_server_that_is_away_for_a_moment_is_waited_for(server, host, package, monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    server.failures = [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS]
    server.course = [ALL_DONE]
    with connected(host) as kubeflow:
        (progress,) = kubeflow.progress(package, kubeflow.submit(package, {}))
    assert progress.state == "SUCCEEDED"
    assert server.failures == []


# Schedules.


def test_a_schedule_runs_one_at_a_time_and_makes_up_for_nothing(server, host, package):
    with connected(host) as kubeflow:
        assert not kubeflow.schedule(package, "nightly", "0 0 3 * * *", service_account="rankline")
    (recurring,) = server.recurring_runs
    assert (recurring.display_name, recurring.mode, recurring.service_account) == ("nightly", "ENABLE", "rankline")
    assert (recurring.max_concurrency, recurring.no_catchup) == ("1", True)
    assert recurring.trigger.cron_schedule.cron == "0 0 3 * * *"
    assert recurring.runtime_config.parameters == package.defaults
    assert recurring.pipeline_version_reference.pipeline_version_id == server.versions[-1].pipeline_version_id


def test_a_schedule_replaces_the_one_of_its_name(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.schedule(package, "nightly", "0 0 3 * * *")
        kubeflow.schedule(package, "weekly", "0 0 3 * * 0")
        assert kubeflow.schedule(package, "nightly", "0 0 4 * * *")
        assert [(each.name, each.when) for each in kubeflow.schedules()] == [
            ("nightly", "0 0 4 * * *"),
            ("weekly", "0 0 3 * * 0"),
        ]


def test_a_schedule_stays_where_its_replacement_is_refused(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.schedule(package, "nightly", "0 0 3 * * *")
    with (
        pytest.raises(
            RanklineError, match=f"{host}: expected a request that it accepts, received 400: .*cron is not a supported"
        ),
        connected(host) as kubeflow,
    ):
        kubeflow.schedule(package, "nightly", "0 0 three * * *!")
    assert [each.trigger.cron_schedule.cron for each in server.recurring_runs] == ["0 0 3 * * *"]


def test_schedules_are_stopped_started_and_deleted_by_name_or_id(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.schedule(package, "nightly", "0 0 3 * * *")
        (found,) = kubeflow.schedules()
        assert (found.enabled, found.created) == (True, "2026-11-27 03:00")
        kubeflow.disable("nightly")
        assert not kubeflow.schedules()[0].enabled
        kubeflow.enable(found.id)
        assert kubeflow.schedules()[0].enabled
        kubeflow.delete("nightly")
        assert kubeflow.schedules() == []


def test_schedules_that_are_not_there_or_not_alone(server, host, package):
    with connected(host) as kubeflow:
        kubeflow.schedule(package, "nightly", "0 0 3 * * *")
        server.recurring_runs.append(server.recurring_runs[0])
        with pytest.raises(RanklineError, match="expected one schedule 'nightly', found several; name one of "):
            kubeflow.delete("nightly")
        with pytest.raises(
            RanklineError, match=r"one of the schedules .*, received 'nihgtly'; did you mean 'nightly'\?"
        ):
            kubeflow.delete("nihgtly")
    assert len(server.recurring_runs) == 2


def test_all_schedules_are_listed_however_many(server, host, package, monkeypatch):
    monkeypatch.setattr("pipeline.platforms.kubeflow.server._PAGE", 2)
    with connected(host) as kubeflow:
        for number in range(5):
            kubeflow.schedule(package, f"s{number}", "0 0 3 * * *")
        assert [each.name for each in kubeflow.schedules()] == ["s0", "s1", "s2", "s3", "s4"]


# The server of these tests.


def test_the_server_is_as_strict_as_the_real_one(server, host, package):
    """Or the tests above would say little."""
    with connected(host) as kubeflow:
        kubeflow.submit(package, {})
        (run,) = server.runs
        reference = {
            "pipeline_id": run.pipeline_version_reference.pipeline_id,
            "version_id": run.pipeline_version_reference.pipeline_version_id,
            "experiment_id": run.experiment_id,
            "job_name": "other",
        }
        client = kubeflow._client
    for wrong, message in (
        ({"params": {"run-id": "x"}}, "parameter run-id is not in the pipeline"),
        ({"params": {"settings": "a=1"}}, "settings requires type"),
        ({"service_account": 3}, "V2beta1Run.service_account: expected str, received 3"),
    ):
        with pytest.raises(Exception, match=message):
            client.run_pipeline(**reference, **wrong)
    assert len(server.runs) == 1


# From the command line.

COMPILED = ("-d", str(SHOP), "-c", str(CONFIG), "--set", *SETTINGS)


def test_submitting_and_waiting(server, host, rankline):
    server.course = [("RUNNING", {"examplegen": "SUCCEEDED"}), ALL_DONE]
    done = rankline("submit", *COMPILED, "--host", host, "--run-id", "monday", "--span", "3", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = server.runs
    assert done.stdout.splitlines() == [
        f"Submitted dcn_v2 on {SHOP}: {host}/#/runs/details/{run.run_id}",
        "  ✓ ExampleGen                 90 s",
        "  ✓ Trainer                    90 s",
    ]
    assert run.service_account is None
    parameters = run.runtime_config.parameters
    assert (parameters["run_id"], parameters["span"]) == ("monday", "3")


def test_a_run_that_fails_fails_the_command(server, host, rankline, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", host)
    server.course = [("FAILED", {"examplegen": "SUCCEEDED", "evaluator": "FAILED"})]
    done = rankline("submit", *COMPILED, "--set", "kubeflow.service_account=rankline", "--wait")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "  ✗ Evaluator                  90 s")
    assert done.stderr.startswith("Error: the run has failed at Evaluator; the task's log says why")
    assert server.runs[0].service_account == "rankline"


def test_a_run_that_is_cancelled_fails_the_command(server, host, rankline):
    server.course = [("CANCELED", {})]
    done = rankline("submit", *COMPILED, "--host", host, "--wait")
    assert (done.returncode, done.stderr.startswith("Error: the run is canceled; ")) == (1, True)


def test_scheduling(server, host, rankline):
    said = rankline("schedule", *COMPILED, "--host", host, "--cron", "0 3 * * *")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == f"Made the schedule rankline-shop: dcn_v2 on {SHOP} at 0 0 3 * * *\n"
    said = rankline("schedules", "--host", host, "--disable", "rankline-shop")
    assert " ".join(said.stdout.split("─")[-1].split()).startswith("rankline-shop 0 0 3 * * * no 2026-11-27 03:00 ")
    said = rankline("schedules", "--host", host, "--delete", "rankline-shop")
    assert said.stdout == "No schedules: `rankline schedule` makes one.\n"


def test_a_mistake_in_the_times_is_found_before_anything_is_done(rankline):
    done = rankline("schedule", "-d", "no-such-dataset", "--cron", "nightly")
    assert (done.returncode, done.stderr.startswith("Error: --cron: expected minute, hour, ")) == (1, True)


def test_no_option_takes_a_token_where_others_see_it():
    from pipeline.cli import cli

    assert not [
        option
        for name in ("submit", "schedule", "schedules")
        for option in cli.commands[name].params
        if "token" in str(option.name) and option.name != "token_file"
    ]
