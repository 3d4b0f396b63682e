"""Which versions of a model lie under its base path, and which of them to serve.

After TF Serving's sources/storage_path/file_system_storage_path_source.cc: a version is an entry whose name
is a whole number (`0007` is version 7), and the largest one is served.
"""

import os
import re
from collections.abc import Iterable, Mapping

_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_INT64 = range(-(2**63), 2**63)


def aspired_versions(base_path: str) -> Mapping[int, str] | None:
    """The versions that should be served now.

    Args:
        base_path: the model's folder; also `gs://…` and whatever else TensorFlow's file systems open.

    Returns:
        Version number to its folder: the largest version, or none where there is none. None if the base
        path does not exist (yet, or for the moment), so that nothing can be said.

    Raises:
        OSError: the base path cannot be listed.
    """
    children = _children(base_path)
    if children is None:
        return None
    versions = _by_version(children)
    if not versions:
        return {}
    latest = max(versions)
    return {latest: os.path.join(base_path, versions[latest])}


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
