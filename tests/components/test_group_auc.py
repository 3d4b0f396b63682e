import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from components.group_auc import GroupAUC, group_auc


def test_group_auc_counts_ordered_pairs():
    # Positives .9 and .3 against negatives .5 and .1: .9 beats both, .3 beats one of two: 3 of 4 pairs.
    assert group_auc(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.3, 0.1])) == 0.75


def test_group_auc_counts_ties_as_one_half():
    assert group_auc(np.array([1, 0]), np.array([0.5, 0.5])) == 0.5


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [1]])
def test_group_auc_needs_both_classes(labels):
    assert math.isnan(group_auc(np.array(labels), np.linspace(0, 1, len(labels))))


def gauc(groups: list[tuple[list[float], list[float]]], weights: list[list[float]] | None = None) -> float:
    """The metric as TFMA computes it: one element per group, spread over two accumulators."""
    (computation,) = GroupAUC().computations(
        eval_config=tfma.EvalConfig(model_specs=[tfma.ModelSpec(label_key="l")]),
        example_weighted=weights is not None,
        query_key="user",
    )
    combiner = computation.combiner
    accumulators = [combiner.create_accumulator(), combiner.create_accumulator()]
    for index, (labels, predictions) in enumerate(groups):
        element = metric_types.StandardMetricInputs(
            label=np.array(labels),
            prediction=np.array(predictions),
            example_weight=np.array(weights[index] if weights else [1.0] * len(labels)),
        )
        accumulators[index % 2] = combiner.add_input(accumulators[index % 2], element)
    return combiner.extract_output(combiner.merge_accumulators(accumulators))[computation.keys[0]]


def test_gauc_weighs_groups_by_their_impressions_and_leaves_out_those_of_one_class():
    groups = [
        ([1, 0, 0, 0], [0.4, 0.3, 0.5, 0.1]),  # 2 of 3 pairs in order; 4 impressions
        ([1, 0], [0.2, 0.1]),  # 1 of 1; 2 impressions
        ([1, 1, 1], [0.9, 0.8, 0.7]),  # no pair
    ]
    assert gauc(groups) == pytest.approx((4 * 2 / 3 + 2 * 1) / 6)


def test_gauc_with_example_weights():
    groups = [([1, 0], [0.2, 0.1]), ([1, 0], [0.1, 0.2])]
    assert gauc(groups, weights=[[2.0, 1.0], [0.5, 0.5]]) == pytest.approx((3 * 1 + 1 * 0) / 4)


def test_gauc_without_a_group_of_both_classes_is_nan():
    assert math.isnan(gauc([([1, 1], [0.5, 0.6])]))


def test_gauc_needs_groups():
    with pytest.raises(ValueError, match="expected a query_key"):
        GroupAUC().computations(eval_config=tfma.EvalConfig())
