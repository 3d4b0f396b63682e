"""Pushes a blessed model so that a server never sees half of it.

TFX's Pusher copies files into the version's folder, which a server may find while it is being filled. This one
fills a folder that no server looks at (its name is no number) and then renames it.
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


class Executor(executor.Executor):  # type: ignore[misc]
    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the model beside the served versions and renames it to the next version, if it is blessed."""
        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        base = destination.filesystem.base_directory
        model = self.GetModelPath(input_dict)

        fileio.makedirs(base)
        partial = os.path.join(base, f".pushing-{pushed.id or os.getpid()}")
        if fileio.exists(partial):
            fileio.rmtree(partial)
        io_utils.copy_dir(model, partial)
        version = next_version(base)
        fileio.rename(partial, os.path.join(base, version))

        # TFX keeps a copy with the artifact, so that a push can be traced after the version was removed.
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=os.path.join(base, version), pushed_version=version)


def next_version(base: str) -> str:
    """The time in seconds, or one more than the newest version where the clock has not passed that."""
    newest = max((int(name) for name in fileio.listdir(base) if name.isdigit()), default=0)
    return str(max(int(time.time()), newest + 1))


class Pusher(component.Pusher):  # type: ignore[misc]
    """`tfx.components.Pusher` with the executor above; the inputs and outputs are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
