"""What the pods of a Kubeflow run are given: image, volumes, secrets, and of each task what it needs and may take."""

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

from pipeline.config.patterns import like
from schema.errors import listing

GPU_TASKS = ("Tuner", "Trainer", "Evaluator")
"""Those that have a use for one: they run the model on many rows."""


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
    # YAML reads `cpu: 2` as a number, where Kubernetes, and this, want text.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Toleration(_Section):
    """A taint of cluster nodes in spite of which a pod may be put on them; keys as in Kubernetes."""

    key: str | None = None
    """Of the taint; None is any."""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """None is any."""

    @model_validator(mode="after")
    def _as_kubernetes_has_it(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError(f"expected no value with 'operator: Exists', received {self.value!r}")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("expected a key with 'operator: Equal', received none; 'operator: Exists' is any taint")
        return self


class Volume(_Section):
    """A persistent volume claim that all pods have mounted."""

    claim: _Name
    path: _Path
    """Where it is mounted."""
    sub_path: str = ""
    """The folder of the volume that is mounted; empty is all of it."""

    @field_validator("sub_path")
    @classmethod
    def _in_the_volume(cls, value: str) -> str:
        if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts:
            raise ValueError(f"expected a path in the volume, without .., received {value!r}")
        return value


class SecretKey(_Section):
    """A value of a Kubernetes Secret."""

    secret: _Name
    key: str


class Task(_Section):
    """What a task is given."""

    cpu: _Cpu | None = None
    """Cores that it needs."""
    cpu_limit: _Cpu | None = None
    """Cores that it may take."""
    memory: _Memory | None = None
    """Bytes that it needs."""
    memory_limit: _Memory | None = None
    """Bytes that it may take, before it is killed."""
    gpu: NonNegativeInt = 0
    """How many."""
    gpu_type: str = "nvidia.com/gpu"
    """The cluster's name for them."""
    node_selector: Mapping[str, str] = {}
    """Labels that a cluster node must have to run it."""
    tolerations: tuple[Toleration, ...] = ()
    retries: NonNegativeInt = 2
    """After failures."""
    backoff_seconds: PositiveInt = 60
    """Before the first of them."""
    backoff_factor: PositiveInt = 2
    """By which the wait grows from one to the next."""
    backoff_max_seconds: Annotated[int, Field(ge=1, le=3600)] = 3600
    """For which retries are made; Kubeflow allows an hour."""
    timeout_seconds: PositiveInt | None = None
    """After which an attempt is stopped."""


class Kubeflow(_Section):
    """What `rankline compile` puts into a package, beside the pipeline itself."""

    image: Annotated[str, Field(min_length=1)]
    """With this project and its environment."""
    image_pull_secrets: tuple[_Name, ...] = ()
    service_account: _Name | None = None
    """As which pods run; None is the server's choice. Said when a run is submitted, so it is not in the package."""
    volumes: tuple[Volume, ...]
    root: _Path
    """What `RunConfig.root` is in the pods: a folder on one of the volumes, which is all that they share."""
    dataset: str | None = None
    """What `RunConfig.dataset` is in the pods; None is the same."""
    env: Mapping[_Variable, str] = {}
    """Environment variables of all pods."""
    secrets: Mapping[_Variable, SecretKey] = {}
    """Those whose values are secret."""
    task: Task = Task()
    """Every task's."""
    tasks: Mapping[str, Task] = {}
    """Component -> what differs from `task` for it."""

    @field_validator("volumes")
    @classmethod
    def _are_some(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        # A bound of the field would count those without mistakes only.
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
            raise ValueError(f"expected gpu in tasks ({listing(GPU_TASKS)}), received it for every task")
        return task

    @field_validator("tasks")
    @classmethod
    def _gpu_where_it_is_used(cls, tasks: Mapping[str, Task]) -> Mapping[str, Task]:
        for name, task in tasks.items():
            if task.gpu and name not in GPU_TASKS:
                raise ValueError(f"expected gpu for {listing(GPU_TASKS)}, which use it, received it for {name}")
        return tasks

    def check_shared(self, path: PurePath) -> None:
        """Whether all pods see the same at a path.

        Raises:
            ValueError: it is on none of the volumes.
        """
        _check_shared(path, self.volumes)

    def of_task(self, name: str) -> Task:
        """What the task of this name is given."""
        own = self.tasks.get(name, Task())
        return self.task.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _check_shared(path: PurePath, volumes: tuple[Volume, ...]) -> None:
    mounted = [volume.path for volume in volumes]
    if not any(path.is_relative_to(place) for place in mounted):
        raise ValueError(
            f"expected a path on one of the volumes ({listing(map(str, mounted))}), received {str(path)!r}"
        )
