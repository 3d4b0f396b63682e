"""Attribution of a row's logit to its columns: exact for linear parts, else by integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.models.joint import EmbeddedPart, Joint
from trainer.models.wide import Wide

Floats = npt.NDArray[np.float64]
Features = Mapping[str, tf.Tensor]
Baselines = Mapping[str, tf.Tensor]
"""The baselines of integrated gradients by part: the vectors of one row, without the batch's axis."""

_FIRST_STEPS, _MOST_STEPS = 16, 1024
_GAP = 1e-3
"""The largest gap that `complete_gradients` accepts, relative to the attributed difference if that is above 1."""


@dataclass(frozen=True)
class Term:
    """The contribution of a column, or of one of its ids, to a part's share of the logit.

    Attributes:
        column: the name of the column.
        contribution: the contribution.
        id: the id, in a linear part; None for a number, and for a column as a whole.
        weight: the weight, in a linear part; else None.
    """

    column: str
    contribution: float
    id: int | None = None
    weight: float | None = None


@dataclass(frozen=True)
class Share:
    """A part's share of a row's logit, which is baseline + the terms' sum + gap.

    Attributes:
        part: the part's name.
        logit: the share.
        terms: the contributions.
        baseline: the part's logit of the baseline; 0 for a linear part.
        gap: the error of integrated gradients, whose integral is approximated by a sum; 0 for a linear part.
        steps: the number of terms in that sum; 0 for a linear part.
    """

    part: str
    logit: float
    terms: Sequence[Term]
    baseline: float = 0.0
    gap: float = 0.0
    steps: int = 0


def is_attributable(model: Joint) -> bool:
    """Whether each part of a model is linear or has gradients by its columns' vectors."""
    return all(isinstance(part, Wide | EmbeddedPart) for part in model.parts)


def mean_vectors(model: Joint, batches: Sequence[Features]) -> dict[str, tf.Tensor]:
    """The means of the columns' vectors over some rows, by part: the average row, which is a baseline for `shares`."""
    found = {}
    for part in model.parts:
        if isinstance(part, EmbeddedPart):
            vectors = [part.vectors(features) for features in batches]
            rows = sum(int(each.shape[0]) for each in vectors)
            found[part.name] = tf.add_n([tf.reduce_sum(each, axis=0) for each in vectors]) / rows
    return found


def shares(model: Joint, features: Features, baselines: Baselines) -> list[list[Share]]:
    """Attributes the first logit of each row to parts and columns.

    Args:
        model: a model that `is_attributable` holds for.
        features: the columns of a batch of few rows.
        baselines: the baselines of all parts that are not linear.

    Returns:
        For each row, the shares of the parts.
    """
    of_parts = [
        _exact(part, features) if isinstance(part, Wide) else _integrated(part, features, baselines[part.name])
        for part in model.parts
    ]
    return [list(row) for row in zip(*of_parts, strict=True)]


def _exact(part: Wide, features: Features) -> list[Share]:
    rows: list[list[Term]] = []
    terms = {
        name: (weights.numpy()[:, :, 0], added.numpy()[:, :, 0])
        for name, (weights, added) in part.terms(features).items()
    }
    ids = {column.name: features[column.name].numpy() for column in part.columns if column.kind != "numeric"}
    for row in range(len(next(iter(terms.values()))[0])):
        rows.append(
            [
                Term(name, float(value), None if id_ is None else int(id_), float(weight))
                for name, (weights, added) in terms.items()
                for id_, weight, value in zip(
                    np.atleast_1d(ids[name][row]) if name in ids else [None], weights[row], added[row], strict=True
                )
                if id_ is None or id_ >= 0
            ]
        )
    return [Share(part.name, sum(term.contribution for term in found), found) for found in rows]


def _integrated(part: EmbeddedPart, features: Features, baseline: tf.Tensor) -> list[Share]:
    def first_logit(vectors: tf.Tensor) -> tf.Tensor:
        return part.of_vectors(vectors)[:, 0]

    vectors = part.vectors(features)
    logits = first_logit(vectors).numpy().astype(np.float64)
    of_baseline = float(first_logit(baseline[tf.newaxis])[0])
    found = []
    for row, logit in zip(vectors, logits, strict=True):
        gradients, steps = complete_gradients(first_logit, row, baseline, logit - of_baseline)
        terms = [
            Term(name, float(gradients[place.start : place.stop].sum())) for name, place in part.vectors.places.items()
        ]
        gap = float(logit - of_baseline - gradients.sum())
        found.append(Share(part.name, float(logit), terms, of_baseline, gap, steps))
    return found


def complete_gradients(
    function: Callable[[tf.Tensor], tf.Tensor], row: tf.Tensor, baseline: tf.Tensor, difference: float
) -> tuple[Floats, int]:
    """Integrated gradients with enough steps that they add up to the difference (Sundararajan et al., 2017,
    proposition 1, completeness), up to a small gap.

    Args:
        function: F, see `integrated_gradients`.
        row: x, see `integrated_gradients`.
        baseline: x', see `integrated_gradients`.
        difference: function(row) - function(baseline).

    Returns:
        The integrated gradients, float64 [numbers of the row], and the number of steps. With the largest number of
        steps, the gap may be of any size.
    """
    steps = _FIRST_STEPS
    while True:
        gradients = integrated_gradients(function, row, baseline, steps)
        if abs(difference - gradients.sum()) <= _GAP * max(1.0, abs(difference)) or steps >= _MOST_STEPS:
            return gradients, steps
        steps *= 2


def integrated_gradients(
    function: Callable[[tf.Tensor], tf.Tensor], row: tf.Tensor, baseline: tf.Tensor, steps: int
) -> Floats:
    """The contribution of each number of a row to the difference of a function from its value at a baseline
    (Sundararajan et al., Axiomatic Attribution for Deep Networks, 2017, equation 1)::

        (xᵢ - x'ᵢ) ∫₀¹ ∂F(x' + α(x - x')) / ∂xᵢ dα

    The integral is a sum over Gauss-Legendre nodes. For polynomials of degree d, such as factorisation machines and
    cross networks, the sum is exact from d / 2 steps on.

    Args:
        function: F, from float32 [batch, …] to [batch].
        row: x, float32 […].
        baseline: x', of the shape of `row`.
        steps: the number of nodes.

    Returns:
        The contributions, float64 [numbers of the row].

    Example: F = x₁ x₂, x' = (0, 0), x = (2, 3): x₁ ∫ α x₂ dα = 3 for x₁, and also 3 for x₂; they add up to 6.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    places = tf.reshape(tf.constant((nodes + 1) / 2, row.dtype), [-1, *[1] * len(row.shape)])
    points = baseline + places * (row - baseline)
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = function(points)
    gradients = tape.gradient(values, points).numpy().reshape(steps, -1).astype(np.float64)
    result: Floats = (row - baseline).numpy().ravel().astype(np.float64) * (weights / 2 @ gradients)
    return result
