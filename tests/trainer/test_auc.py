"""The area under the ROC curve, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.auc import auc


def test_pairs_in_order_and_ties_count() -> None:
    """Of the pairs (.9, .4), (.9, .4), (.4, .4) and (.4, .4) two are in order and two are ties: (2 + 2 / 2) / 4."""
    assert auc(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.4, 0.4, 0.4])) == 0.75


def test_a_pair_weighs_what_its_rows_do() -> None:
    """Positives .9 and .1 of weights 3 and 1 against a negative of .5: 3 of 4."""
    assert auc(np.array([1.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.5]), np.array([3.0, 1.0, 2.0])) == 0.75


@pytest.mark.parametrize("labels", [[], [1.0, 1.0], [0.0]])
def test_one_class_has_none(labels: list[float]) -> None:
    assert math.isnan(auc(np.array(labels), np.ones(len(labels))))


def test_a_class_that_weighs_nothing_is_none() -> None:
    assert math.isnan(auc(np.array([1.0, 0.0]), np.array([0.9, 0.1]), np.array([0.0, 1.0])))
