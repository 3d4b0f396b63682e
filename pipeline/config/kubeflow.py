"""The configuration of a Kubeflow run's pods: image, volumes, secrets, and each task's resources and retries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from components.descriptions import DESCRIPTIONS
from pipeline.config.patterns import like
from schema.errors import listing

_GPU_TASKS = tuple(name for name, each in DESCRIPTIONS.items() if each.gpu)


_Cpu = Annotated[str, like(r"\d+m|\d*\.?\d+", "cores such as 2, 0.5 or 500m")]
_Memory = Annotated[str, like(r"\d+([EPTGMK]i?)?", "bytes such as 8Gi or 512Mi")]
_Name = Annotated[str, like(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", "a Kubernetes name such as rankline-data")]
_Variable = Annotated[str, like(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")]


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"expected an absolute path without .., received {str(path)!r}")
    return path


_Path = Annotated[PurePosixPath, AfterValidator(_absolute)]


class _Section(BaseModel):
    # YAML reads `cpu: 2` as a number, but Kubernetes and these fields want text.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Toleration(_Section):
    """A taint of cluster nodes that a pod tolerates; the keys are those of Kubernetes."""

    key: str | None = None
    """The key of the taint. By default any key matches."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """The comparison with the taint."""
    value: str | None = None
    """The value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The effect of the taint. By default any effect matches."""

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"expected no value with 'operator: Exists', received {self.value!r}")
        if self.operator == "Equal" and self.key is None:
            raise ValueError(
                "expected a key with 'operator: Equal', received none; 'operator: Exists' matches any taint"
            )
        return self


class Volume(_Section):
    """A persistent volume claim that all pods mount."""

    claim: _Name
    """The name of the claim."""
    path: _Path
    """The folder at which pods mount it."""
    sub_path: str = ""
    """The folder of the volume that is mounted. By default it is the whole volume."""

    @field_validator("sub_path")
    @classmethod
    def _in_the_volume(cls, value: str) -> str:
        if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError(f"expected a path in the volume, without .., received {value!r}")
        return value


class SecretKey(_Section):
    """A value of a Kubernetes Secret."""

    secret: _Name
    """The name of the Secret."""
    key: str
    """The key in the Secret."""


class Task(_Section):
    """The resources and retries of a task."""

    cpu: _Cpu | None = None
    """The number of cores that the task requests, such as `2` or `500m`."""
    cpu_limit: _Cpu | None = None
    """The largest number of cores that it may use."""
    memory: _Memory | None = None
    """The memory that it requests, such as `8Gi`."""
    memory_limit: _Memory | None = None
    """The largest memory that it may use before it is killed."""
    gpu: NonNegativeInt = 0
    """The number of GPUs. Only `tasks` may have it, for `Tuner`, `Trainer` and `Evaluator`."""
    gpu_type: str = "nvidia.com/gpu"
    """The cluster's name for GPUs."""
    node_selector: Mapping[str, str] = {}
    """The labels that a cluster node must have to run the task."""
    tolerations: tuple[Toleration, ...] = ()
    """The taints of cluster nodes that the task tolerates."""
    retries: NonNegativeInt = 2
    """The number of further attempts after failures."""
    backoff_seconds: PositiveInt = 60
    """The wait before the first retry, in seconds."""
    backoff_factor: PositiveInt = 2
    """The factor by which the wait grows from one retry to the next."""
    backoff_max_seconds: Annotated[int, Field(ge=1, le=3600)] = 3600
    """The time within which the task is retried, in seconds: at most an hour."""
    timeout_seconds: PositiveInt | None = None
    """The time limit of an attempt, in seconds. By default there is none."""


class Kubeflow(_Section):
    """The pods of a Kubeflow run: their image, volumes, secrets and resources, for `rankline compile`."""

    image: Annotated[str, Field(min_length=1)]
    """The container image with Rankline and its environment."""
    image_pull_secrets: tuple[_Name, ...] = ()
    """The names of the Secrets with the credentials to pull the image."""
    service_account: _Name | None = None
    """The service account of the pods. It is set when a run is submitted, and is not part of the package. By default
    the server chooses it."""
    volumes: tuple[Volume, ...]
    """The volumes that all pods mount."""
    root: _Path
    """The `root` in the pods: a folder on one of the volumes, since pods share nothing else."""
    dataset: str | None = None
    """The `dataset` in the pods. By default it is the same as on this machine."""
    env: Mapping[_Variable, str] = {}
    """The environment variables of all pods."""
    secrets: Mapping[_Variable, SecretKey] = {}
    """The environment variables of all pods whose values are in Secrets."""
    task: Task = Task()
    """The resources and retries of every task."""
    tasks: Mapping[str, Task] = {}
    """The keys of `task` that differ for a component, by the component's name."""

    @field_validator("volumes")
    @classmethod
    def _are_some(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        # A minimum length of the field would only count the volumes without mistakes.
        if not volumes:
            raise ValueError("expected one or more, received none")
        return volumes

    @field_validator("root")
    @classmethod
    def _is_shared(cls, root: PurePosixPath, info: ValidationInfo) -> PurePosixPath:
        if "volumes" in info.data:
            _check_shared(root, info.data["volumes"])
        return root

    @field_validator("secrets")
    @classmethod
    def _are_not_given_twice(cls, secrets: Mapping[str, SecretKey], info: ValidationInfo) -> Mapping[str, SecretKey]:
        if both := sorted(secrets.keys() & info.data.get("env", {}).keys()):
            raise ValueError(f"expected other variables than in env, received {listing(both)} in both")
        return secrets

    @field_validator("task")
    @classmethod
    def _no_gpu_for_all(cls, task: Task) -> Task:
        if task.gpu:
            raise ValueError(f"expected gpu in tasks ({listing(_GPU_TASKS)}), received it for every task")
        return task

    @field_validator("tasks")
    @classmethod
    def _gpu_where_it_is_used(cls, tasks: Mapping[str, Task]) -> Mapping[str, Task]:
        for name, task in tasks.items():
            if task.gpu and name not in _GPU_TASKS:
                raise ValueError(f"expected gpu for {listing(_GPU_TASKS)}, which use it, received it for {name}")
        return tasks

    def check_shared(self, path: PurePath) -> None:
        """Checks that all pods see the same files at a path.

        Raises:
            ValueError: the path is on none of the volumes.
        """
        _check_shared(path, self.volumes)

    def of_task(self, name: str) -> Task:
        """The resources and retries of the task with this name."""
        own = self.tasks.get(name, Task())
        return self.task.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _check_shared(path: PurePath, volumes: tuple[Volume, ...]) -> None:
    mounted = [volume.path for volume in volumes]
    if not any(path.is_relative_to(place) for place in mounted):
        raise ValueError(
            f"expected a path on one of the volumes ({listing(map(str, mounted))}), received {str(path)!r}"
        )
