"""Which versions of a model lie under its base path, and which of them to serve.

After TF Serving's sources/storage_path/file_system_storage_path_source.cc: a version is an entry whose name
is a whole number (`0007` is version 7), and a policy says which are served: the latest unless it is told otherwise.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tensorflow_serving.config.file_system_storage_path_source_pb2 import FileSystemStoragePathSourceConfig

Policy: TypeAlias = FileSystemStoragePathSourceConfig.ServableVersionPolicy

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_INT64 = range(-(2**63), 2**63)


def aspired_versions(base_path: str, policy: Policy) -> Mapping[int, str] | None:
    """The versions that should be served now.

    Args:
        base_path: the model's folder; also `gs://…` and whatever else TensorFlow's file systems open.
        policy: the latest versions (one, if it says nothing), all, or the specific ones that it lists.

    Returns:
        Version number to its folder. None if the base path does not exist (yet, or for the moment), so that
        nothing can be said.

    Raises:
        OSError: the base path cannot be listed.
    """
    children = _children(base_path)
    if children is None:
        return None
    versions = _by_version(children)
    return {number: os.path.join(base_path, versions[number]) for number in _chosen(set(versions), policy)}


def _chosen(versions: set[int], policy: Policy) -> set[int]:
    match policy.WhichOneof("policy_choice"):
        case "all":
            return versions
        case "specific":
            return versions & set(policy.specific.versions)
    return set(sorted(versions)[-max(1, policy.latest.num_versions) :])


def _by_version(children: Iterable[str]) -> dict[int, str]:
    """Version number to name; of two names for one version (`7`, `0007`) the last in order counts."""
    return {int(name): name for name in sorted(children) if _WHOLE_NUMBER.fullmatch(name) and int(name) in _INT64}


def _children(base_path: str) -> list[str] | None:
    if "://" not in base_path:
        try:
            return os.listdir(base_path)
        except FileNotFoundError:
            return None
    # Only here, because it takes TensorFlow's runtime, which takes a second to import.
    from tensorflow.python.framework import errors
    from tensorflow.python.lib.io import file_io

    try:
        return [name.split("/", 1)[0] for name in file_io.list_directory(base_path)]
    except errors.NotFoundError:
        return None
    except errors.OpError as error:
        raise OSError(f"{base_path} cannot be listed: {error.message}") from error
