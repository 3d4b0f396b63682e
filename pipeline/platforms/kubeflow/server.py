"""Runs packages on a Kubeflow Pipelines server: once, or by a schedule.

A package is uploaded as a version of its pipeline, named by its content, and runs refer to that version. Each run gets
all parameters, so that it shows their values and none depends on a default.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kfp_server_api
import tenacity
import urllib3
from kfp.components import load_component_from_file
from rich.table import Table

from pipeline.platforms.kubeflow.client import Client
from pipeline.terminal.tables import add_row, new_table
from schema.errors import RanklineError, listing, nearest

POLL_S = 5.0
_PATIENCE_S = 600.0
"""How long a server may be away during a run that is waited for, in seconds."""
_PAGE = 100
_NEVER = datetime.datetime.fromtimestamp(0, datetime.UTC)
"""The server's value for a time that has not come."""
_ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class _State:
    state: str
    """A value of KFP's `V2beta1RuntimeState`."""

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    @property
    def succeeded(self) -> bool:
        return self.state == "SUCCEEDED"


@dataclass(frozen=True)
class Task(_State):
    """The progress of a task of a run."""

    name: str
    seconds: float = 0.0
    """The seconds that the task took, if it has ended."""


@dataclass(frozen=True)
class Progress(_State):
    """The progress of a run."""

    tasks: tuple[Task, ...]
    """The tasks that were begun, in the order of their ends."""


@dataclass(frozen=True)
class Schedule:
    """A schedule by which the server starts runs."""

    id: str
    name: str
    when: str
    """A cron expression with seconds, or `every … s`."""
    enabled: bool
    created: str


class Package:
    """A compiled package.

    Args:
        path: the YAML file.
    """

    def __init__(self, path: Path) -> None:
        loaded = load_component_from_file(str(path))
        self.path = path
        self.pipeline: str = loaded.name
        self.version = f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        self.defaults: Mapping[str, Any] = {name: spec.default for name, spec in loaded.component_spec.inputs.items()}
        self.tasks: Mapping[str, str] = {
            name: task.task_info.name for name, task in loaded.pipeline_spec.root.dag.tasks.items()
        }
        """The cluster's name of each task -> the component."""


class Server:
    """A Kubeflow Pipelines server.

    Args:
        client: a client from `pipeline.platforms.kubeflow.client.connected`, which explains the server's errors.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._namespace: str | None = client.get_user_namespace() or None

    def link(self, run_id: str) -> str:
        """The address of a run's page."""
        return f"{self._client.host}/#/runs/details/{run_id}"

    def submit(
        self,
        package: Package,
        parameters: Mapping[str, str],
        experiment: str | None = None,
        service_account: str | None = None,
    ) -> str:
        """Starts a run.

        Args:
            package: the package to run.
            parameters: the parameters that differ from the package's defaults.
            experiment: the experiment that lists the run; None is one with the pipeline's name, created if it is
                missing.
            service_account: the service account of the run's pods; None is the server's choice.

        Returns:
            Kubeflow's own name for the run.
        """
        now = datetime.datetime.now(datetime.UTC)
        run = self._client.run_pipeline(
            experiment_id=self._experiment(experiment, package),
            job_name=parameters.get("run_id") or f"{package.pipeline} {now:%Y-%m-%d %H:%M:%S}",
            params={**package.defaults, **parameters},
            service_account=service_account,
            **self._uploaded(package),
        )
        started: str = run.run_id
        return started

    def progress(self, package: Package, run_id: str) -> Iterator[Progress]:
        """The progress of a run, every few seconds until it has ended."""
        # The client's own way to wait never returns for a run that was cancelled.
        get_run = tenacity.retry(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_exponential(max=30),
            stop=tenacity.stop_after_delay(_PATIENCE_S),
            reraise=True,
        )(self._client.get_run)
        while True:
            run = get_run(run_id)
            details = (run.run_details and run.run_details.task_details) or ()
            progress = Progress(
                run.state or "PENDING",
                tuple(
                    _task(package.tasks[detail.display_name], detail)
                    for detail in sorted(details, key=lambda detail: detail.end_time or _NEVER)
                    if detail.display_name in package.tasks  # Kubeflow has further tasks of its own
                ),
            )
            yield progress
            if progress.ended:
                return
            time.sleep(POLL_S)

    def schedule(
        self,
        package: Package,
        name: str,
        cron: str,
        experiment: str | None = None,
        service_account: str | None = None,
    ) -> bool:
        """Runs a package again and again: one run at a time, and no runs for missed times.

        Kubeflow's own name of each run is its name in ML Metadata. The server's macros, such as [[ScheduledTime]],
        would give better names, but Kubeflow 2 leaves them unchanged in a schedule with a version, as here. All runs
        would then have the same name, and mistake each other's outputs for their own.

        Args:
            package: the package to run.
            name: the name of the schedule. A schedule with this name in the same experiment is replaced.
            cron: the times, as `cron.with_seconds` returns them.
            experiment: the experiment, as for `submit`.
            service_account: the service account, as for `submit`.

        Returns:
            Whether a schedule was replaced.
        """
        experiment_id = self._experiment(experiment, package)
        before = [run for run in self._recurring(experiment_id=experiment_id) if run.display_name == name]
        self._client.create_recurring_run(
            experiment_id=experiment_id,
            job_name=name,
            cron_expression=cron,
            max_concurrency=1,
            no_catchup=True,
            params=dict(package.defaults),
            service_account=service_account,
            **self._uploaded(package),
        )
        for run in before:  # only now, so that a schedule remains if the new one was refused
            self._client.delete_recurring_run(run.recurring_run_id)
        return bool(before)

    def schedules(self) -> list[Schedule]:
        """All schedules, sorted by name."""
        return sorted(map(_schedule, self._recurring(namespace=self._namespace)), key=lambda schedule: schedule.name)

    def enable(self, name: str) -> None:
        """Lets a schedule start runs again.

        Raises:
            RanklineError: no schedule has the name or id, or several have it.
        """
        self._client.enable_recurring_run(self._named(name).id)

    def disable(self, name: str) -> None:
        """Keeps a schedule from starting runs.

        Raises:
            RanklineError: no schedule has the name or id, or several have it.
        """
        self._client.disable_recurring_run(self._named(name).id)

    def delete(self, name: str) -> None:
        """Deletes a schedule; the runs that it has started stay.

        Raises:
            RanklineError: no schedule has the name or id, or several have it.
        """
        self._client.delete_recurring_run(self._named(name).id)

    def _named(self, name: str) -> Schedule:
        known = self.schedules()
        found = [schedule for schedule in known if name in (schedule.name, schedule.id)]
        if len(found) > 1:
            ids = listing(schedule.id for schedule in found)
            raise RanklineError(f"expected one schedule {name!r}, found several; name one of {ids} instead")
        if not found:
            names = [schedule.name for schedule in known]
            raise RanklineError(
                f"expected one of the schedules {listing(names)}, received {name!r}{nearest(name, names)}"
            )
        return found[0]

    def _recurring(self, **where: str | None) -> Iterator[Any]:
        page = self._client.list_recurring_runs(page_size=_PAGE, **where)
        yield from page.recurring_runs or ()
        while page.next_page_token:
            page = self._client.list_recurring_runs(page_token=page.next_page_token, page_size=_PAGE, **where)
            yield from page.recurring_runs or ()

    def _experiment(self, name: str | None, package: Package) -> str:
        """The id of an experiment. One that was asked for by name must exist, since the name may be a mistake."""
        if name is None:
            experiment = self._client.create_experiment(package.pipeline, namespace=self._namespace)
        else:
            try:
                experiment = self._client.get_experiment(experiment_name=name, namespace=self._namespace)
            except ValueError:
                page = self._client.list_experiments(page_size=_PAGE, namespace=self._namespace)
                names = [each.display_name for each in page.experiments or ()]
                raise RanklineError(
                    f"--experiment: expected one of {listing(names)}, received {name!r}{nearest(name, names)}"
                ) from None
        found: str = experiment.experiment_id
        return found

    def _uploaded(self, package: Package) -> dict[str, str]:
        """The ids of the package's pipeline and version, which are created if they are missing."""
        path = str(package.path)
        page = self._client.list_pipelines(filter=_equal(package.pipeline), namespace=self._namespace)
        if page.pipelines:
            pipeline_id = page.pipelines[0].pipeline_id
        else:
            pipeline_id = self._client.upload_pipeline(path, package.pipeline, namespace=self._namespace).pipeline_id
        versions = self._client.list_pipeline_versions(pipeline_id, filter=_equal(package.version)).pipeline_versions
        version = (
            versions[0]
            if versions
            else self._client.upload_pipeline_version(path, package.version, pipeline_id=pipeline_id)
        )
        return {"pipeline_id": pipeline_id, "version_id": version.pipeline_version_id}


def _equal(name: str) -> str:
    """A filter by name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, kfp_server_api.ApiException):
        return bool(error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= 500)
    return isinstance(error, urllib3.exceptions.HTTPError)


def _task(name: str, detail: Any) -> Task:
    task = Task(detail.state or "PENDING", name)
    if not task.ended:
        return task
    return dataclasses.replace(task, seconds=(detail.end_time - detail.start_time).total_seconds())


def _schedule(run: Any) -> Schedule:
    cron, periodic = run.trigger.cron_schedule, run.trigger.periodic_schedule
    when = cron.cron if cron else f"every {periodic.interval_second} s"
    return Schedule(
        run.recurring_run_id, run.display_name, when, run.status == "ENABLED", f"{run.created_at:%Y-%m-%d %H:%M}"
    )


def schedules_table(schedules: Sequence[Schedule]) -> Table:
    """A table of a cluster's schedules."""
    table = new_table("", "schedule", "seconds to weekday", "runs", "made", "id")
    for each in schedules:
        add_row(table, each.name, each.when, "yes" if each.enabled else "no", each.created, each.id)
    return table
