"""The interface that all models share."""

from __future__ import annotations

import keras
import pytest

from schema.errors import SpecError
from trainer import models
from trainer.input_columns import InputColumn
from trainer.params import TrainParams

ONE_PART = {
    "wide": "wide", "wide_deep": "wide", "wide_cross": "wide", "fm": "wide", "deepfm": "wide",
    "deep": "deep", "dcn": "deep", "dcn_v2": "deep", "dcn_mix": "deep", "cross_deep": "deep",
}  # fmt: skip
"""Model -> a part that it cannot be without."""


def test_a_model_reads_the_columns_of_its_parts_only(people) -> None:
    assert [column.name for column in people.build("deep").columns] == ["user", "friend", "age"]
    assert [column.name for column in people.build("wide").columns] == ["user", "friend", "price", "user_x_tag"]
    assert {column.name for column in people.build("wide_deep").columns} == set(people.features)


def test_the_wide_part_has_its_own_variables(people) -> None:
    assert [variable.shape for variable in people.build("wide_deep").wide_variables] == [(1, 1), (7, 1)]
    assert people.build("deep").wide_variables == []


def test_tables_of_each_part(people) -> None:
    """The wide part's columns that share a table elsewhere have rows of their own: 2 + 2 + 3."""
    model = people.build("wide_deep")
    assert [table.shape for table in model.embedding_tables] == [(2, 2)]
    assert [table.shape for table in model.wide_tables] == [(7, 1)]
    assert people.build("wide").embedding_tables == []


@pytest.mark.parametrize(("name", "part"), ONE_PART.items())
def test_a_part_without_columns(name: str, part: str) -> None:
    other = "deep" if part == "wide" else "wide"
    columns = [InputColumn("age", "numeric", (other,))]
    with pytest.raises(SpecError, match=f"expected at least one feature or cross for the model's {part} part"):
        models.build(columns, TrainParams(model=name))


def test_models_that_need_a_part_are_all_models_that_see_parts() -> None:
    assert set(ONE_PART) == set(models.names()) - {"mf", "cooccurrence"}


@pytest.mark.parametrize("name", ["fm", "deepfm", "mf", "cooccurrence"])
def test_models_of_one_logit(ratings, name: str) -> None:
    with pytest.raises(SpecError, match=f"expected a model for a label with several outputs, received '{name}'"):
        models.build(ratings.columns, TrainParams(model=name), units=2)


@pytest.mark.parametrize("name", ["mf", "cooccurrence"])
def test_models_of_a_ranking(name: str) -> None:
    columns = [InputColumn("user", "categorical", ("wide", "deep"), size=2, width=2, table="user")]
    with pytest.raises(SpecError, match=rf"{name} needs a 'ranking' .* received neither"):
        models.build(columns, TrainParams(model=name))


def test_equal_seeds_give_equal_models(people) -> None:
    logits = []
    for seed in (7, 7, 8):
        keras.utils.set_random_seed(seed)
        logits.append(people.logits_of("wide_deep").tolist())
    assert logits[0] == logits[1] != logits[2]
