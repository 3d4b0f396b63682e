from __future__ import annotations

import pytest

from schema.errors import SpecError
from trainer import models
from trainer.models.registry import register


def test_each_architecture_has_a_name() -> None:
    assert models.names() == [
        "cooccurrence", "cross_deep", "dcn", "dcn_mix", "dcn_v2", "deep", "deepfm", "fm", "mf", "wide", "wide_cross",
        "wide_deep",
    ]  # fmt: skip


def test_unknown_model(people) -> None:
    expected = "model: expected one of .*deep.*wide.*wide_deep, received 'wide_dep'; did you mean 'wide_deep'"
    with pytest.raises(SpecError, match=expected):
        people.build("wide_dep")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="received 'wide' twice"):
        register("wide")(lambda columns, params, units: None)
