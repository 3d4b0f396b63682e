"""The engines that run the components' Beam pipelines: this process, or one such as Flink."""

from __future__ import annotations

import contextlib
import io
import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, NamedTuple, Self

from apache_beam.options.pipeline_options import PipelineOptions
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from pipeline.config.patterns import like
from schema.errors import listing

# Beam's DirectRunner, without its attempt to download and start another runner first.
_IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.fn_runner.FnApiRunner"

# Unless an image is named, TFX packs itself into 50 MB for the workers of each pipeline, and leaves these in the
# temporary folder. Workers beside this process, and those of a pool, have the environment already.
_NO_PACKAGE = "--sdk_container_image=none"

_ENVIRONMENT_CACHE_MS = 30_000
"""How long an idle worker is kept, in milliseconds. Starting another takes as long as importing TensorFlow."""

_Endpoint = Annotated[str, like(r"[^\s:/]+:\d{1,5}", "host:port such as 10.0.0.5:8099")]
_GcsPath = Annotated[str, like(r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/.*", "a path such as gs://bucket/tmp")]
_Project = Annotated[str, like(r"[a-z][-a-z0-9:.]+[a-z0-9]", "the id of a Google Cloud project")]
_Label = Annotated[str, like(r"[-_a-z0-9]{1,63}", "a label of lower-case letters, digits, - and _")]


class LocalCluster(NamedTuple):
    """The Flink cluster of `rankline flink-up`.

    Attributes:
        job_endpoint: host:port of Beam's job server.
        slots: the number of parts of a job that run at once.
        worker: the path of the executable that starts a worker.
    """

    job_endpoint: str
    slots: int
    worker: str


class _Runner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    options: tuple[str, ...] = ()
    """Further pipeline options of Beam, such as `--experiments=…`."""

    @field_validator("options")
    @classmethod
    def _are_options_of_beam(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            if option.partition("=")[0] == "--runner":
                raise ValueError(f"expected other options than the runner, which is name, received {option!r}")
        known, everything = (_parsed(options, retain) for retain in (False, True))
        if unknown := [f"--{name}" for name in everything if name not in known]:
            raise ValueError(f"expected options that Beam knows, received {listing(unknown)}")
        if stray := [option for option in options if not option.startswith("--")]:
            raise ValueError(f"expected --name=value, received {listing(stray)}")
        return options

    @property
    def needs_local_cluster(self) -> bool:
        """Whether the runner uses the cluster of `rankline flink-up`."""
        return False

    def arguments(self, cluster: LocalCluster | None = None) -> list[str]:
        """All of Beam's pipeline options.

        Args:
            cluster: the cluster of this machine, if the runner needs it.
        """
        return [*self._of_fields(cluster), *self.options]

    @abstractmethod
    def _of_fields(self, cluster: LocalCluster | None) -> Iterator[str]:
        """The options that the fields of this kind of runner set."""


class Direct(_Runner):
    """This process, or several workers on this machine."""

    name: Literal["direct"] = "direct"
    workers: NonNegativeInt = 1
    """The number of workers; 0 is one for each core."""
    mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    """The kind of workers. Each process of `multi_processing` imports TensorFlow first."""

    @model_validator(mode="after")
    def _several_are_somewhere(self) -> Self:
        if self.workers != 1 and self.mode == "in_memory":
            raise ValueError(f"expected workers: 1 with mode: in_memory, received {self.workers}")
        return self

    def _of_fields(self, cluster: LocalCluster | None) -> Iterator[str]:
        yield f"--runner={_IN_PROCESS}"
        yield _NO_PACKAGE
        if self.workers != 1:
            yield f"--direct_num_workers={self.workers}"
            yield f"--direct_running_mode={self.mode}"


class _Portable(_Runner):
    """An engine that is reached through a job server of Beam; its workers are Python processes beside its own."""

    job_endpoint: _Endpoint | None = None
    """The address (`host:port`) of Beam's job server for the engine."""
    worker_pool: _Endpoint | None = None
    """The address of a worker pool (`apache_beam.runners.worker.worker_pool_main`) as a machine of the engine sees it,
    such as `localhost:50000`. A configuration has this or `image`."""
    image: str | None = None
    """The image of the workers' containers, for machines with docker: Beam's image, with this environment in it."""
    workers_per_machine: PositiveInt = 1
    """The number of Python processes beside each process of the engine."""

    @property
    def _place(self) -> str | None:
        """The name of the field that says where the workers are."""
        return "worker_pool" if self.worker_pool else "image" if self.image else None

    @model_validator(mode="after")
    def _workers_are_in_one_place(self) -> Self:
        if self.worker_pool and self.image:
            raise ValueError("expected worker_pool or image, received both")
        return self

    def _environment(self) -> Iterator[str]:
        if self.worker_pool:
            yield from ("--environment_type=EXTERNAL", f"--environment_config={self.worker_pool}", _NO_PACKAGE)
        elif self.image:
            yield from ("--environment_type=DOCKER", f"--environment_config={self.image}")
            yield f"--sdk_container_image={self.image}"
        yield f"--sdk_worker_parallelism={self.workers_per_machine}"
        yield f"--environment_cache_millis={_ENVIRONMENT_CACHE_MS}"


class Flink(_Portable):
    """Apache Flink: the cluster of `rankline flink-up`, or another one by its job server."""

    name: Literal["flink"] = "flink"
    parallelism: PositiveInt | None = None
    """The number of parts into which rows are divided. By default it is the number of slots of the cluster of
    `rankline flink-up`, or the default of another cluster's job server."""

    @property
    def needs_local_cluster(self) -> bool:
        """Whether the runner uses the cluster of `rankline flink-up`."""
        return not self.job_endpoint

    @model_validator(mode="after")
    def _has_workers(self) -> Self:
        if self.job_endpoint and not self._place:
            raise ValueError("expected worker_pool or image with job_endpoint, received neither")
        if self._place and not self.job_endpoint:
            raise ValueError(
                f"expected job_endpoint with {self._place}, received none; that of `rankline flink-up` needs neither"
            )
        return self

    def _of_fields(self, cluster: LocalCluster | None) -> Iterator[str]:
        yield "--runner=FlinkRunner"
        # Steps write their results to Flink's disks. If steps ran side by side, the results of one would wait in memory
        # for a step that also needs those of another: all rows, up to a gigabyte.
        yield "--execution_mode_for_batch=BATCH_FORCED"
        parallelism = self.parallelism
        if self.job_endpoint:
            yield f"--job_endpoint={self.job_endpoint}"
        else:
            assert cluster is not None, "the caller has asked for it"
            parallelism = parallelism or cluster.slots
            yield f"--job_endpoint={cluster.job_endpoint}"
            yield "--environment_type=PROCESS"
            yield f"--environment_config={json.dumps({'command': cluster.worker})}"
            yield _NO_PACKAGE
        yield from self._environment()
        if parallelism:
            yield f"--parallelism={parallelism}"


class Spark(_Portable):
    """Apache Spark, through Beam's job server or one that Beam starts for a Spark master."""

    name: Literal["spark"] = "spark"
    master: Annotated[str, like(r"spark://[^\s:/]+:\d{1,5}", "a URL such as spark://10.0.0.5:7077")] | None = None
    """The URL of the cluster, such as `spark://10.0.0.5:7077`, if it has no job server: Beam starts one here."""
    job_server_jar: str | None = None
    """The path or URL of the jar of that job server. By default Beam downloads the released one."""

    @model_validator(mode="after")
    def _is_reached_in_one_way(self) -> Self:
        if bool(self.job_endpoint) == bool(self.master):
            received = "both" if self.master else "neither"
            raise ValueError(f"expected job_endpoint or master, received {received}")
        if self.job_server_jar and not self.master:
            raise ValueError("expected master with job_server_jar, received none")
        if not self._place:
            raise ValueError("expected worker_pool or image, received neither")
        return self

    def _of_fields(self, cluster: LocalCluster | None) -> Iterator[str]:
        yield "--runner=SparkRunner"
        if self.job_endpoint:
            yield f"--job_endpoint={self.job_endpoint}"
        if self.master:
            yield f"--spark_master_url={self.master}"
        if self.job_server_jar:
            yield f"--spark_job_server_jar={self.job_server_jar}"
        yield from self._environment()


class Dataflow(_Runner):
    """Google Cloud Dataflow."""

    name: Literal["dataflow"] = "dataflow"
    project: _Project
    """The id of the Google Cloud project."""
    region: Annotated[str, like(r"[a-z]+-[a-z]+\d+", "a region such as europe-west4")]
    """The region of the workers, such as `europe-west4`."""
    temp_location: _GcsPath
    """The folder on `gs://` for a job's temporary files."""
    staging_location: _GcsPath | None = None
    """The folder on `gs://` for the workers' files. By default it is `temp_location`."""
    image: Annotated[str, Field(min_length=1)]
    """The image of the workers: Beam's image for this version of Python, with this environment in it."""
    machine_type: str | None = None
    """The machine type of the workers, such as `n2-standard-4`. By default Dataflow chooses it."""
    disk_gb: PositiveInt | None = None
    """The disk of each worker, in gigabytes. By default Dataflow chooses it."""
    workers: PositiveInt | None = None
    """The number of workers at the start. By default Dataflow chooses it."""
    max_workers: PositiveInt | None = None
    """The largest number of workers. By default Dataflow chooses it."""
    service_account: str | None = None
    """The service account of the workers: an e-mail address. By default Dataflow chooses it."""
    subnetwork: str | None = None
    """The subnetwork of the workers, such as `regions/europe-west4/subnetworks/private`. By default Dataflow chooses
    it."""
    public_ips: bool = True
    """Whether the workers have public addresses."""
    labels: Mapping[_Label, _Label] = {}
    """The labels of the jobs, which also appear on Google's bill."""

    @model_validator(mode="after")
    def _begins_with_no_more_than_there_may_be(self) -> Self:
        if self.workers and self.max_workers and self.workers > self.max_workers:
            raise ValueError(f"expected workers up to max_workers ({self.max_workers}), received {self.workers}")
        return self

    def _of_fields(self, cluster: LocalCluster | None) -> Iterator[str]:
        yield "--runner=DataflowRunner"
        for flag, value in (
            ("project", self.project),
            ("region", self.region),
            ("temp_location", self.temp_location),
            ("staging_location", self.staging_location),
            ("sdk_container_image", self.image),
            ("worker_machine_type", self.machine_type),
            ("disk_size_gb", self.disk_gb),
            ("num_workers", self.workers),
            ("max_num_workers", self.max_workers),
            ("service_account_email", self.service_account),
            ("subnetwork", self.subnetwork),
        ):
            if value is not None:
                yield f"--{flag}={value}"
        yield "--sdk_location=container"
        if not self.public_ips:
            yield "--no_use_public_ips"
        for key, value in self.labels.items():
            yield f"--labels={key}={value}"


BeamRunner = Annotated[Direct | Flink | Spark | Dataflow, Field(discriminator="name")]


def _parsed(options: tuple[str, ...], retain_unknown: bool) -> Mapping[str, object]:
    """Beam's reading of options: name -> value.

    Raises:
        ValueError: Beam refuses a value.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            found: Mapping[str, object] = PipelineOptions(list(options)).get_all_options(
                retain_unknown_options=retain_unknown
            )
    except SystemExit:
        # Such as `usage: …` and `prog: error: argument --parallelism: invalid int value: 'x'`.
        said = complaint.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise ValueError(f"expected options that Beam takes, received {listing(options)}: {said}") from None
    return found
