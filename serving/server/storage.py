"""Finds the versions of a model under its base path and selects those to serve.

After TF Serving's sources/storage_path/file_system_storage_path_source.cc: a version is an entry whose name is a whole
number (`0007` is version 7), and a policy selects the versions to serve, by default the latest.
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
        base_path: the model's folder, which may be on any of TensorFlow's file systems, such as `gs://…`.
        policy: the policy: the latest versions (one by default), all versions, or a list of specific ones.

    Returns:
        Version number -> folder. None if the base path does not exist, perhaps only at the moment, so that the versions
        are unknown.

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
    """Version number -> name. If two names mean the same version (`7`, `0007`), the last one in order counts."""
    return {int(name): name for name in sorted(children) if _WHOLE_NUMBER.fullmatch(name) and int(name) in _INT64}


def _children(base_path: str) -> list[str] | None:
    if "://" not in base_path:
        try:
            return os.listdir(base_path)
        except FileNotFoundError:
            return None
    # Imported here, since it needs TensorFlow's runtime, which takes a second to import.
    from tensorflow.python.framework import errors
    from tensorflow.python.lib.io import file_io

    try:
        return [name.split("/", 1)[0] for name in file_io.list_directory(base_path)]
    except errors.NotFoundError:
        return None
    except errors.OpError as error:
        raise OSError(f"{base_path} cannot be listed: {error.message}") from error
