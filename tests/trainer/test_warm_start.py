"""A model that begins with an earlier one's weights, whose vocabularies have changed since."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from schema.feature_spec import LABEL, FeatureSpec
from trainer import models, warm_start
from trainer.export import ServedModel
from trainer.heads import Logistic
from trainer.input_columns import Ids, ids_of, input_columns
from trainer.models.joint import Joint
from trainer.params import TrainParams
from trainer.preprocessing import preprocessing_fn
from trainer.warm_start import EarlierModel, TakenOver, same_rows

COLUMNS = {"clicked": "float", "user": "string", "friend": "string", "shop": "string", "age": "float"}
FEATURES = {
    "user": {},
    "friend": {"shares": "user"},
    "shop": {"hash_buckets": 3},
    "age": {"type": "numeric", "buckets": 2},
}
CROSSES = [{"columns": ["user", "age"], "vocabulary": {"min_count": 1}, "oov_buckets": 2}]
BEFORE = ("ann", "bob", "cleo")
AFTER = ("cleo", "dora", "ann")
"""One came, one went, and the others changed places."""


def made(users: tuple[str, ...], features: Mapping = FEATURES, widths: Mapping = {}, **params: object) -> tuple:
    """A model for data with these users, each of whom is crossed with one age; and the ids of its columns."""
    spec = FeatureSpec.model_validate({"label": "clicked", "features": features, "crosses": CROSSES}).resolve(COLUMNS)
    crossed = tuple(f"{user}\x1f{1 - place % 2}" for place, user in enumerate(users))
    ids = {
        "user": Ids(users, 1, True, "user"),
        "friend": Ids(users, 1, True, "user"),
        "shop": Ids((), 3, True, None),
        "age_bucket": Ids((), 2, True, None),
        "user_x_age": Ids(crossed, 2, False, "user_x_age"),
    }
    model = models.build(input_columns(spec, ids, widths), TrainParams(**{"hidden_units": (2,), **params}))
    return model, ids


def numbered(model: Joint) -> Joint:
    """All weights differ."""
    first = 0
    for variable in model.trainable_variables:
        size = int(np.prod(variable.shape))
        variable.assign(np.arange(first, first + size).reshape(variable.shape))
        first += size
    return model


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> tuple[EarlierModel, Joint]:
    """A model that was saved, through a transform graph with the vocabularies of `BEFORE`."""
    folder = tmp_path_factory.mktemp("earlier")
    spec = FeatureSpec.model_validate({"label": "clicked", "features": FEATURES, "crosses": CROSSES}).resolve(COLUMNS)
    users = ["ann", "ann", "ann", "bob", "bob", "cleo"]
    rows = [{LABEL: 1.0, "user": user, "friend": "", "shop": "x", "age": float(user != "bob")} for user in users]
    raw = {name: tf.io.FixedLenFeature([], tf.float32 if name in (LABEL, "age") else tf.string) for name in rows[0]}
    transform = functools.partial(preprocessing_fn, custom_config={"spec": spec.model_dump_json()})
    with tft_beam.Context(temp_dir=str(folder / "tmp")):
        graph = (rows, tft.DatasetMetadata.from_feature_spec(raw)) | tft_beam.AnalyzeDataset(transform)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
    output = tft.TFTransformOutput(str(folder / "graph"))
    model, ids = made(BEFORE)
    assert {name: (*each.tokens, each.size) for name, each in ids_of(spec, output).items()} == {
        name: (*each.tokens, each.size) for name, each in ids.items()
    }
    path = str(folder / "Format-Serving")
    ServedModel(numbered(model), Logistic(), spec, output).save(path)
    warm_start.write(model, ids, path)
    return EarlierModel(path), model


def tables(model: Joint) -> dict[str, np.ndarray]:
    """Part and table -> its rows."""
    return {
        f"{part.name}.{name}": layer.table.numpy()[rows.start : rows.stop]
        for part in model.parts
        for layer in part.embeddings
        for name, rows in layer.tables.items()
    }


def test_rows_that_stand_for_the_same() -> None:
    """Ids now: c 0, d 1, a 2, the OOV bucket 3, missing 4; then: a 0, b 1, c 2, the OOV bucket 3, no id if missing."""
    now, then = Ids(("c", "d", "a"), 1, True, "user"), Ids(("a", "b", "c"), 1, False, "user")
    new, old = same_rows(now, then)
    assert dict(zip(new.tolist(), old.tolist(), strict=True)) == {0: 2, 2: 0, 3: 3}


@pytest.mark.parametrize(
    ("now", "then", "same"),
    [
        (Ids((), 3, True, None), Ids((), 3, True, None), {0: 0, 1: 1, 2: 2, 3: 3}),
        (Ids((), 4, True, None), Ids((), 3, True, None), {4: 3}),  # another hash: missing alone is the same
        (Ids(("a",), 2, True, "x"), Ids(("a",), 1, True, "x"), {0: 0, 3: 2}),  # OOV tokens are spread otherwise
        (Ids(("a",), 3, False, "x"), Ids((), 3, False, None), {}),  # a vocabulary instead of a hash
    ],
)
def test_buckets_are_the_same_where_there_are_as_many(now: Ids, then: Ids, same: dict[int, int]) -> None:
    new, old = same_rows(now, then)
    assert dict(zip(new.tolist(), old.tolist(), strict=True)) == same


def test_tokens_keep_their_weights_wherever_they_are(earlier) -> None:
    """Before: ann, bob, cleo, OOV, missing. After: cleo, dora, ann, OOV, missing: rows 2, none, 0, 3 and 4 of those."""
    base, before = earlier
    model, ids = made(AFTER, widths=base.widths)
    initial = tables(model)
    taken_over = base.start(model, ids)

    old, new = tables(before), tables(model)
    for name in ("deep.user", "wide.user", "wide.friend"):
        np.testing.assert_array_equal(new[name][[0, 2, 3, 4]], old[name][[2, 0, 3, 4]])
        np.testing.assert_array_equal(new[name][1], initial[name][1])
    for name in ("deep.shop", "wide.shop", "wide.age_bucket"):
        np.testing.assert_array_equal(new[name], old[name])
    # Crossed: ann 1, bob 0, cleo 1, and 2 OOV buckets; then cleo 1, dora 0, ann 1.
    np.testing.assert_array_equal(new["wide.user_x_age"][[0, 2, 3, 4]], old["wide.user_x_age"][[2, 0, 3, 4]])
    # Deep: user 4 of 5, shop 4. Wide: user and friend 4 of 5, shop 4, age 3, their cross 4 of 5.
    assert taken_over == TakenOver(
        rows=(4 + 4) + (4 + 4 + 4 + 3 + 4), all_rows=(5 + 4) + (5 + 5 + 4 + 3 + 5), parts=("wide", "deep")
    )


def test_the_same_data_give_the_same_model(earlier) -> None:
    base, before = earlier
    model, ids = made(BEFORE, widths=base.widths, seed=1)
    taken_over = base.start(model, ids)
    assert taken_over.rows == taken_over.all_rows
    for new, old in zip(model.trainable_variables, before.trainable_variables, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())


def test_a_part_that_sees_another_column_begins_anew_but_for_its_tables(earlier) -> None:
    base, before = earlier
    features = FEATURES | {"age": {"type": "numeric", "buckets": 2, "missing_indicator": True, "parts": ["deep"]}}
    model, ids = made(BEFORE, features, widths=base.widths)
    initial = [variable.numpy() for variable in model.parts[1].trainable_variables]
    assert base.start(model, ids).parts == ()
    np.testing.assert_array_equal(tables(model)["deep.user"], tables(before)["deep.user"])
    for variable, value in zip(model.parts[1].trainable_variables, initial, strict=True):
        if "table" not in variable.path:
            np.testing.assert_array_equal(variable.numpy(), value)


def test_a_part_with_other_layers_begins_anew_but_for_its_tables(earlier) -> None:
    base, before = earlier
    model, ids = made(BEFORE, widths=base.widths, hidden_units=(3,))
    assert base.start(model, ids).parts == ("wide",)
    np.testing.assert_array_equal(tables(model)["deep.user"], tables(before)["deep.user"])


def test_another_model_takes_what_it_shares(earlier) -> None:
    base, _ = earlier
    model, ids = made(BEFORE, widths=base.widths, model="deep")
    assert base.start(model, ids).parts == ("deep",)
    wide, ids = made(BEFORE, model="cross_deep", widths=base.widths)
    assert base.start(wide, ids).parts == ("deep",)


def test_widths_stay_when_a_vocabulary_grows(earlier) -> None:
    """6 · 5^¼ = 8.97, so 12 up to 16 ids and 16 from 17 on: 6 · 17^¼ = 12.2."""
    base, _ = earlier
    many = tuple(f"user {number}" for number in range(20))
    grown, _ = made(many)
    kept, _ = made(many, widths=base.widths)
    assert tables(grown)["deep.user"].shape[1] == 16
    assert tables(kept)["deep.user"].shape[1] == base.widths["user"] == 12


def test_a_width_that_the_spec_gives_goes_before(earlier) -> None:
    base, _ = earlier
    model, ids = made(BEFORE, FEATURES | {"user": {"embedding": 3}}, widths=base.widths)
    initial = tables(model)["deep.user"]
    base.start(model, ids)
    np.testing.assert_array_equal(tables(model)["deep.user"], initial)
