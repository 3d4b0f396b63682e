"""Distances between columns, and the choice of the columns to compare."""

import pyarrow as pa
import pytest
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2

from components.distances import comparators, compare
from schema.lists import as_lists


def statistics(**columns: list[str]):
    return generate_statistics_in_memory(as_lists(pa.RecordBatch.from_pydict(columns)))


@pytest.fixture
def schema():
    """City may differ by an L-infinity distance of 0.3; it must not be missing, which nobody asks for here."""
    made = schema_pb2.Schema()
    for name in ("city", "tag", "other"):
        made.feature.add(name=name, type=schema_pb2.BYTES, presence={"min_fraction": 1})
    made.feature[0].drift_comparator.infinity_norm.threshold = 0.3
    return made


def test_own_comparators_go_before_limits(schema):
    compared = comparators(schema, "drift", {"city": 0.1, "tag": 0.2})
    assert [feature.name for feature in compared.feature] == ["city", "tag"]
    city, tag = compared.feature
    assert city.drift_comparator == schema.feature[0].drift_comparator
    assert tag.drift_comparator.jensen_shannon_divergence.threshold == 0.2
    assert not any(feature.HasField("presence") for feature in compared.feature)

    assert [feature.name for feature in comparators(schema, "drift", {}).feature] == ["city"]
    assert not comparators(schema, "skew", {}).feature
    (city,) = comparators(schema, "drift", {"city": 0.1}, own_first=False).feature
    assert city.drift_comparator.jensen_shannon_divergence.threshold == 0.1


@pytest.mark.parametrize("kind", ["drift", "skew"])
def test_values_that_have_nothing_in_common_are_1_apart(schema, kind):
    """And Rome's share of 1 or 1 / 2 is an L-infinity distance of 1 / 2. What one side lacks is passed over."""
    now, before = statistics(city=["Rome"] * 4, tag=["a"] * 4), statistics(city=["Rome", "Oslo"], tag=["b", "b"])
    limits = {"tag": 1.0, "other": 0.1}
    found = compare(now, before, comparators(schema, kind, limits), kind)
    of_city, of_tag = ([each for each in found if each.column == name] for name in ("city", "tag"))
    assert [(each.measure, each.value, each.limit, each.is_too_far) for each in of_tag] == [
        ("JENSEN_SHANNON_DIVERGENCE", pytest.approx(1), 1, False)
    ]
    expected = [("L_INFTY", pytest.approx(0.5), 0.3, True)] if kind == "drift" else []
    assert [(each.measure, each.value, each.limit, each.is_too_far) for each in of_city] == expected
