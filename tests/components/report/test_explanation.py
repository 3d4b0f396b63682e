"""The explanation of a list, by a model whose contributions are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from components.report import explanation
from components.report.model import Model
from schema.feature_spec import FeatureSpec
from trainer.input_columns import Ids
from trainer.models.attribution import Share, Term
from trainer.vocabulary import SEPARATOR

SPEC = FeatureSpec.model_validate(
    {
        "label": "y",
        "ranking": {"group": "user", "item": "item", "item_columns": ["tags", "price"], "title": "title"},
        "features": {
            "user": {"hash_buckets": 4},
            "item": {},
            "tags": {"type": "multivalent"},
            "price": {"type": "numeric", "buckets": 3},
        },
        "crosses": [{"columns": ["user", "price"], "name": "pair"}, {"columns": ["item", "tags"], "name": "list"}],
    }
).resolve({"y": "integer", "user": "string", "item": "string", "title": "string", "tags": "strings", "price": "float"})


def example(**values: object) -> bytes:
    made = tf.train.Example()
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                made.features.feature[name].bytes_list.value.append(each.encode())
            else:
                made.features.feature[name].float_list.value.append(each)
    return made.SerializeToString()


@pytest.fixture
def model():
    """Its ids: item and tags from vocabularies, users hashed, the price in buckets."""
    ids = {
        "user": Ids((), 4, True, None), "item": Ids(("i0", "i1"), 1, True, "item"),
        "tags": Ids(("a", "b"), 1, False, "tags"), "price_bucket": Ids((), 3, True, None),
        "pair": Ids((SEPARATOR.join(("ann", "0")),), 1, False, "pair"),
        "list": Ids((SEPARATOR.join(("i0", "a")),), 1, False, "list"),
    }  # fmt: skip
    seen = {name: np.arange(each.size) * 10 for name, each in ids.items()}
    found = SimpleNamespace(ids=ids, seen=seen, history={"params": {"calibration": "none"}}, bias=0.5)
    found.token = lambda column, place: Model.token(found, column, place)

    def take_apart(examples, average):
        found.average = average
        terms = [
            Term("user", 1.0, 2, 1.0), Term("item", -4.0, 2, -4.0), Term("tags", 0.25, 1, 0.5),
            Term("price_bucket", 0.5, 1, 0.5), Term("pair", 3.0, 1, 3.0), Term("list", 2.0, 0, 2.0),
        ]  # fmt: skip
        deep = [Term("tags", -0.75), Term("price", 0.125)]
        rows = len(examples)
        features = {"tags": tf.constant([[0, 2, -1]] * rows), "price": tf.constant([1.5] * rows)}
        shares = [Share("wide", 2.75, terms), Share("deep", 1.0, deep, 1.5, 0.125, 16)]
        return features, [shares] * rows

    found.take_apart = take_apart
    return found


def test_every_contribution_has_a_name_a_value_and_how_often_that_was_seen(model, make_rows):
    row = example(user="ann", item="i9", title="Nine", tags=["a", "z"], price=9.5)
    found = explanation.explain(model, SPEC, make_rows(), [row], np.array([0.75]))
    (item,) = found.items
    assert (found.column, found.group, found.candidates, found.calibration) == ("user", "ann", 1, None)
    assert (item.place, item.item, item.title, item.answer, item.label) == (1, "i9", "Nine", 0.75, None)
    assert (item.logit, item.bias, item.calibrated) == (0.5 + 2.75 + 1, 0.5, None)
    assert [(each.part, each.what, each.value, each.weight, each.rows) for each in item.contributions] == [
        ("wide", "item", "i9 (not in the vocabulary)", -4, None),
        ("wide", "pair", "ann × 9.5 (not in the vocabulary)", 3, None),
        ("wide", "list", "i0 × a", 2, 0),
        ("wide", "user", "ann (bucket 2)", 1, 20),
        ("deep", "tags", "a, (not in the vocabulary)", None, None),
        ("wide", "price_bucket", "9.5 (bucket 1)", 0.5, 10),
        ("wide", "tags", "b", 0.5, 10),
        ("deep", "price", "9.5", None, None),
    ]
    deep = item.parts[1]
    assert (deep.name, deep.logit, deep.baseline, deep.gap, deep.steps) == ("deep", 1, 1.5, 0.125, 16)


def test_a_missing_value_is_empty_or_called_so(model):
    columns = {"price": np.array([None], object), "item": np.array([None], object)}
    assert explanation._value(Term("item", 1.0), [3], model, SPEC, columns, {}, 0) == "(missing)"
    assert explanation._value(Term("price", 1.0), [], model, SPEC, columns, {"price": tf.constant([0.0])}, 0) == "0"


def test_the_value_behind_a_bucket_is_the_numbers_whatever_other_columns_are_called(model):
    columns = {"price": np.array([9.5], object), "price_bucket": np.array(["a title"], object)}
    assert explanation._value(Term("price_bucket", 1.0), [1], model, SPEC, columns, {}, 0) == "9.5 (bucket 1)"


def test_items_are_explained_in_the_order_of_their_answers(model, make_rows):
    examples = [example(user="ann", item=f"i{number}", title=f"t{number}") for number in range(5)]
    answers = np.array([0.1, 0.9, 0.3, 0.7, 0.5])

    def explained(chosen):
        found = explanation.explain(model, SPEC, make_rows(), examples, answers, chosen)
        return [(item.place, item.title) for item in found.items]

    assert explained(None) == [(1, "t1"), (2, "t3"), (3, "t4")]
    assert explained([0, 3]) == [(2, "t3"), (5, "t0")]


def test_a_calibrated_model_has_another_logit(model, make_rows):
    model.history["params"]["calibration"] = "platt"
    found = explanation.explain(model, SPEC, make_rows(), [example(user="ann", item="i0")], np.array([0.75]))
    assert found.calibration == "platt"
    assert found.items[0].calibrated == pytest.approx(np.log(3))


def test_the_typical_list_has_the_median_ndcg(model, make_rows):
    """Lists of two rows: group 0 in order (NDCG 1), group 1 in the wrong one (0.63), group 2 without a positive row;
    3 in order. The median of 0.63, 1, 1 is that of group 0, the first of the two."""
    rows = make_rows(8, groups=4)
    rows.groups[:] = [0, 0, 1, 1, 2, 2, 3, 3]
    rows.labels[:] = [1, 0, 1, 0, 0, 0, 1, 0]
    rows.candidate.values[:] = [0.9, 0.1, 0.1, 0.9, 0.5, 0.4, 0.8, 0.2]
    rows.examples[:] = [example(user=f"u{place // 2}", item=f"i{place}", title=f"t{place}") for place in range(8)]
    found = explanation.of_typical_list(model, SPEC, rows)
    assert (found.group, found.candidates) == ("u0", 2)
    assert [(item.title, item.answer, item.label) for item in found.items] == [("t0", 0.9, "1"), ("t1", 0.1, "0")]
    assert "median NDCG@10" in found.rule
    assert model.average == list(rows.examples)

    rows.labels[:] = 0
    assert explanation.of_typical_list(model, SPEC, rows) is None
