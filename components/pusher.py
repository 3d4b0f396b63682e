"""Pushes a blessed model so that a server never sees half of it.

TFX's Pusher copies files into the version's folder, which a server may find while it is being filled. This one
fills a folder that servers ignore, since its name is not a number, and then renames it.

It also compares the model with the served versions: a model that is already the newest version is not pushed again, but
a model that was pushed before is, if its version was removed or followed by another.
"""

from __future__ import annotations

import os
import time
from typing import Any

from tfx import types
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils

from components.digests import digest_of
from components.properties import UNCHANGED_PROPERTY

_PARTIAL = ".pushing-"
"""The prefix of the names of folders that are being filled."""


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the model beside the served versions and renames it to the next version, if it is blessed.

        The version is the time in seconds, or one more than the newest version if the clock is not past that.
        """
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = destination.filesystem.base_directory
        model = self.GetModelPath(input_dict)

        fileio.makedirs(base)
        newest = max((name for name in fileio.listdir(base) if name.isdigit()), key=int, default="0")
        if digest_of(model) == digest_of(os.path.join(base, newest)):
            self._MarkPushed(pushed, pushed_destination=os.path.join(base, newest), pushed_version=newest)
            pushed.set_int_custom_property(UNCHANGED_PROPERTY, 1)
            return
        for left_by_a_killed_run in fileio.glob(os.path.join(base, f"{_PARTIAL}*")):
            fileio.rmtree(left_by_a_killed_run)
        partial = os.path.join(base, f"{_PARTIAL}{os.getpid()}")
        io_utils.copy_dir(model, partial)
        version = str(max(int(time.time()), int(newest) + 1))
        fileio.rename(partial, os.path.join(base, version))

        # As TFX's Pusher does, so that a push can be traced after its version was removed.
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, version), pushed_version=version)


class Pusher(component.Pusher):  # type: ignore[misc]
    """`tfx.components.Pusher` with the executor above and the same inputs and outputs."""

    ALWAYS_RUNS = True
    """The result depends on a folder that ML Metadata does not track, so a cached result is of no use."""
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
