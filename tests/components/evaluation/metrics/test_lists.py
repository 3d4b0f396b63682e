import math

import numpy as np
import pytest
import sklearn.metrics
import tensorflow_model_analysis as tfma
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.metrics.lists import list_auc, list_ndcg
from components.evaluation.tfma_metrics import ListComputation, ListSums


def test_list_auc_counts_ordered_pairs():
    # Positives .9 and .3 against negatives .5 and .1: .9 beats both, .3 beats one of two: 3 of 4 pairs.
    assert list_auc(np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.3, 0.1])) == 0.75


def test_list_auc_counts_ties_as_one_half():
    assert list_auc(np.array([1, 0]), np.array([0.5, 0.5])) == 0.5


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [1]])
def test_list_auc_needs_both_classes(labels):
    assert math.isnan(list_auc(np.array(labels), np.linspace(0, 1, len(labels))))


def test_list_auc_needs_scores_that_are_numbers():
    assert math.isnan(list_auc(np.array([1, 0]), np.array([0.5, np.nan])))


def test_list_ndcg_by_hand():
    # Ranked 0, 1, 0, 1: (1/log₂3 + 1/log₂5) of the best order's 1 + 1/log₂3.
    ranked = 1 / math.log2(3) + 1 / math.log2(5)
    scores, labels = np.array([0.9, 0.7, 0.5, 0.3]), np.array([0, 1, 0, 1])
    assert list_ndcg(labels, scores) == pytest.approx(ranked / (1 + 1 / math.log2(3)))


def test_list_ndcg_of_a_list_that_is_longer_than_what_counts():
    # The only positive one is third, and two count.
    assert list_ndcg(np.array([0, 0, 1]), np.array([0.9, 0.5, 0.1]), length=2) == 0
    # Three positive ones, of which the two that count are on top.
    assert list_ndcg(np.array([1, 0, 1, 1]), np.array([0.9, 0.1, 0.8, 0.7]), length=2) == 1


def test_list_ndcg_of_ties_is_what_a_random_order_would_give():
    # The positive one is first or second: (1 + 1/log₂3) / 2 on average, of the best order's 1.
    assert list_ndcg(np.array([1, 0]), np.array([0.5, 0.5])) == pytest.approx((1 + 1 / math.log2(3)) / 2)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])), min_size=2, max_size=30))
def test_metrics_of_lists_are_scikit_learns(rows):
    labels, scores = map(np.array, zip(*rows, strict=True))
    if labels.any():
        assert list_ndcg(labels, scores) == pytest.approx(sklearn.metrics.ndcg_score([labels], [scores], k=10))
    else:
        assert math.isnan(list_ndcg(labels, scores))
    if labels.any() and not labels.all():
        assert list_auc(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))


def sums_of(groups: list[tuple], weights: list[list[float]] | None = None) -> ListSums:
    """Groups, each as labels and scores, spread over two accumulators."""
    accumulators = [ListSums(), ListSums()]
    for index, (labels, scores) in enumerate(groups):
        weight = weights[index] if weights else [1.0] * len(labels)
        accumulators[index % 2].add(np.array(labels), np.array(scores), np.array(weight))
    accumulators[0].merge(accumulators[1])
    return accumulators[0]


def test_gauc_weighs_groups_by_their_impressions_and_leaves_out_those_of_one_class():
    groups = [
        ([1, 0, 0, 0], [0.4, 0.3, 0.5, 0.1]),  # 2 of 3 pairs in order; 4 impressions
        ([1, 0], [0.2, 0.1]),  # 1 of 1; 2 impressions
        ([1, 1, 1], [0.9, 0.8, 0.7]),  # no pair
    ]
    assert sums_of(groups).result("gauc") == pytest.approx((4 * 2 / 3 + 2 * 1) / 6)


def test_ndcg_weighs_all_groups_alike_and_leaves_out_those_without_a_positive_example():
    groups = [
        ([0, 1], [0.9, 0.1]),  # 1/log₂3 of 1
        ([1, 0, 0], [0.9, 0.5, 0.1]),  # 1
        ([0, 0], [0.9, 0.5]),
    ]
    assert sums_of(groups).result("ndcg@10") == pytest.approx((1 / math.log2(3) + 1) / 2)


def test_example_weights():
    groups = [([1, 0], [0.2, 0.1]), ([1, 0], [0.1, 0.2])]
    sums = sums_of(groups, weights=[[2.0, 1.0], [0.5, 0.5]])
    assert sums.result("gauc") == pytest.approx((3 * 1 + 1 * 0) / (3 + 1))
    assert sums.result("ndcg@10") == pytest.approx((1.5 * 1 + 0.5 / math.log2(3)) / (1.5 + 0.5))


def test_without_a_group_to_judge_by_there_is_no_metric():
    assert math.isnan(sums_of([([1, 1], [0.5, 0.6])]).result("gauc"))
    assert math.isnan(sums_of([([0, 0], [0.5, 0.6])]).result("ndcg@10"))


@pytest.mark.parametrize("name", ["gauc", "ndcg@10"])
def test_metrics_of_lists_need_groups(name):
    with pytest.raises(ValueError, match=f"{name}: expected a query_key"):
        ListComputation(name).computations(eval_config=tfma.EvalConfig())
