"""What a notebook begins with: its imports, without what the libraries say, and what it is about."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.terminal.console import quiet

if TYPE_CHECKING:
    from pipeline.config.run import RunConfig

_VARIABLE, _FILE = "RANKLINE_CONFIG", "run.yaml"


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """For imports: neither now nor later do TensorFlow and TFX tell a notebook what they are doing; they may warn."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet(Path(os.devnull)):
        yield
    logging.getLogger("absl").setLevel(logging.WARNING)


def configuration(**train: object) -> RunConfig:
    """The configuration in the file that the variable `RANKLINE_CONFIG` names, or in `run.yaml` beside the notebook.

    Args:
        **train: parameters of the training to go before those of the file, such as `model="wide"`.

    Raises:
        SpecError: as `pipeline.config.run.load`.
    """
    with hushed():
        from pipeline.config.run import load

    return load(Path(os.environ.get(_VARIABLE, _FILE)), {f"train.{key}": value for key, value in train.items()}, ())
