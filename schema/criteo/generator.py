"""Generates rows in the format of the Criteo click logs for which the best possible prediction is known.

A row has a label, 13 integers and 26 ids, long-tailed as in real logs. The effects that decide a click are planted:

- *main effects* of the integers and of the ids of eight columns; the other eighteen columns have no effect;
- *crosses*: each pair of ids of two columns has an effect of its own, drawn independently of all others. A model can
  learn it only from rows with this pair, so only memorising helps;
- *low-rank interactions*: ids of two other columns have latent factors, and a pair's effect is their product. Most
  pairs never occur in training, but a model that has learned the factors can predict them, so generalising helps.

The probability of a click is the sigmoid of the sum of all effects. No model can have a lower expected loss than the
entropy of these probabilities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUMBERS = tuple(f"I{index}" for index in range(1, 14))
IDS = tuple(f"C{index}" for index in range(1, 27))

CROSSED = (("C1", "C2"), ("C3", "C4"))
LOW_RANK = (("C5", "C6"), ("C7", "C8"))

INTERACTING = {"C1": 60, "C2": 50, "C3": 80, "C4": 40, "C5": 120, "C6": 100, "C7": 80, "C8": 150}
"""The number of ids of each interacting column for `more_pairs` = 1: 3,000 and 3,200 crossed pairs, and 12,000 pairs in
each low-rank interaction."""
_LEAST_OTHERS = 9_320
"""The smallest number of ids of all other columns together: with fewer, even the largest column has no long tail."""
_FACTORS = 2
_BIAS = -1.2
_MAIN = 0.15
"""The standard deviation of the main effects."""
_MISSING = 0.2
"""The share of missing integers."""


@dataclass(frozen=True)
class Rows:
    """Generated rows.

    Attributes:
        numbers: float64 [rows, 13], whole numbers of at least 0; NaN where missing.
        ids: int64 [rows, 26], from 0.
        probability: the probability of a click, float64 [rows].
        label: 0 or 1, float64 [rows].
    """

    numbers: Floats
    ids: Ints
    probability: Floats
    label: Floats

    @property
    def best_logloss(self) -> float:
        """The mean log loss of the true probabilities, which a model can beat only by chance."""
        p = self.probability
        return float(-(self.label * np.log(p) + (1 - self.label) * np.log1p(-p)).mean())


class Generator:
    """Draws rows with planted effects of all kinds.

    Args:
        vocabulary: the number of ids of all 26 columns together, at least 10,000; more for larger `more_pairs`.
        crosses: the standard deviation of the effect of a pair of `CROSSED`; 0 for no effect.
        low_rank: the standard deviation of the effect of a pair of `LOW_RANK`; 0 for no effect.
        seed: the seed of the effects.
        more_pairs: the factor by which the number of pairs of any two interacting columns grows, approximately. The
            more pairs there are, the rarer each one is.

    Raises:
        ValueError: the vocabulary is too small.
    """

    def __init__(
        self,
        vocabulary: int = 100_000,
        crosses: float = 1.0,
        low_rank: float = 1.0,
        seed: int = 0,
        more_pairs: float = 1.0,
    ) -> None:
        self.sizes = _sizes(vocabulary, more_pairs)
        random = np.random.default_rng([seed, 0])
        self._of_number = random.normal(scale=_MAIN, size=len(NUMBERS))
        self._of_id = {name: random.normal(scale=_MAIN, size=self.sizes[name]) for name in INTERACTING}
        self._crosses = {
            pair: random.normal(scale=crosses, size=[self.sizes[name] for name in pair]) for pair in CROSSED
        }
        # A product of two standard normal vectors has a variance of one per factor.
        scale = np.sqrt(low_rank / np.sqrt(_FACTORS))
        self._factors = {
            name: random.normal(scale=scale, size=(self.sizes[name], _FACTORS)) for pair in LOW_RANK for name in pair
        }

    def draw(self, rows: int, seed: int) -> Rows:
        """Draws rows. Different seeds give different rows of the same distribution.

        The ids of a column follow Zipf's law: the k-th id has about 1 / k of the first one's rows. Only the ids of
        low-rank interactions are equally frequent, so that a few pairs do not have most of the rows.
        """
        random = np.random.default_rng([seed, 1])
        sizes = np.array(list(self.sizes.values()))
        ids = (np.exp(random.random((rows, len(IDS))) * np.log(sizes + 1)) - 1).astype(np.int64)
        for name in (name for pair in LOW_RANK for name in pair):
            ids[:, IDS.index(name)] = random.integers(self.sizes[name], size=rows)
        numbers = np.floor(random.lognormal(mean=1.0, sigma=1.0, size=(rows, len(NUMBERS))))
        numbers[random.random(numbers.shape) < _MISSING] = np.nan

        logit = _BIAS + np.nan_to_num(np.log1p(numbers) - 1.0) @ self._of_number
        of = dict(zip(IDS, ids.T, strict=True))
        for name, effects in self._of_id.items():
            logit += effects[of[name]]
        for (one, other), effects in self._crosses.items():
            logit += effects[of[one], of[other]]
        for one, other in LOW_RANK:
            logit += (self._factors[one][of[one]] * self._factors[other][of[other]]).sum(axis=1)
        probability = 1 / (1 + np.exp(-logit))
        return Rows(numbers, ids, probability, (random.random(rows) < probability).astype(np.float64))


def _sizes(vocabulary: int, more_pairs: float) -> dict[str, int]:
    """The number of ids of each column. The other columns share the rest of the vocabulary in growing parts."""
    interacting = {name: round(size * math.sqrt(more_pairs)) for name, size in INTERACTING.items()}
    others = [name for name in IDS if name not in INTERACTING]
    left = vocabulary - sum(interacting.values())
    if left < _LEAST_OTHERS:
        least = vocabulary - left + _LEAST_OTHERS
        raise ValueError(f"expected a vocabulary of at least {least:,} ids, received {vocabulary:,}")
    growing = np.geomspace(4, left / 3, len(others))
    sizes = np.maximum(2, growing * left / growing.sum()).astype(int)
    return {**interacting, **dict(zip(others, map(int, sizes), strict=True))}
