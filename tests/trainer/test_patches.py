"""Patches of libraries apply to the version that they were written for, and to no other."""

import importlib.metadata

import pytest
from tfx.components.transform import executor

from schema.errors import RanklineError
from trainer.patches import WRITTEN_FOR, replaced


def test_a_part_is_replaced_meanwhile():
    before = executor.TransformProcessor
    with replaced(executor, "TransformProcessor", "another one", "tfx"):
        assert executor.TransformProcessor == "another one"
    assert executor.TransformProcessor is before


@pytest.mark.parametrize("library", WRITTEN_FOR)
def test_another_version_is_refused(monkeypatch, library):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9.0")
    with (
        pytest.raises(
            RanklineError, match=rf"^{library}: expected version 1\.21, of which .* received 9\.9\.0; install"
        ),
        replaced(executor, "TransformProcessor", "another one", library),
    ):
        pass
