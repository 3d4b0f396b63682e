"""Rows in the format of the Criteo click logs, of which the best possible prediction is known.

Label, 13 integers and 26 ids, long-tailed as in real logs. What decides about a click is planted:

- *main effects* of the integers and of the ids of eight columns; the other eighteen say nothing;
- *crosses*: each pair of ids of two columns has an effect of its own, drawn independently of all others. Who has not
  seen the pair cannot know it; nothing but memorising helps;
- *low-rank interactions*: ids of two other columns have latent factors, and a pair's effect is their product. Most
  pairs are never seen, and who knows the factors knows them all the same: generalising helps.

The probability of a click is that of the sum of all effects, so that no model can have a lower expected loss than the
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
"""Ids of each column that interacts, unless `more_pairs`: 3,000 and 3,200 crossed pairs, and 12,000 of either low-rank
interaction."""
_LEAST_OTHERS = 9_320
"""Ids of the columns that do not interact: with fewer, even the largest would have no long tail."""
_FACTORS = 2
_BIAS = -1.2
_MAIN = 0.15
"""Standard deviation of the main effects of ids."""
_MISSING = 0.2
"""Share of the integers that are missing."""


@dataclass(frozen=True)
class Rows:
    """Generated rows.

    Attributes:
        numbers: float64 [rows, 13], whole numbers of at least 0; NaN where missing.
        ids: int64 [rows, 26], from 0.
        probability: [rows], of a click.
        label: [rows], 0 or 1.
    """

    numbers: Floats
    ids: Ints
    probability: Floats
    label: Floats

    @property
    def best_logloss(self) -> float:
        """The mean log loss of who predicts the probability: what no model can better but by chance."""
        p = self.probability
        return float(-(self.label * np.log(p) + (1 - self.label) * np.log1p(-p)).mean())


class Generator:
    """Draws rows in which effects of all kinds are planted.

    Args:
        vocabulary: ids of all 26 columns together, at least 10,000; more if `more_pairs`.
        crosses: standard deviation of the effect of a pair of `CROSSED`; 0 for none.
        low_rank: of a pair of `LOW_RANK`.
        seed: of the effects.
        more_pairs: how many times as many pairs there are, about, of any two columns that interact: the more, the
            rarer each is seen.

    Raises:
        ValueError: too small a vocabulary.
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
        """So many rows; another seed gives other ones of the same distribution.

        Ids of a column are distributed by Zipf's law: the k-th has about 1 / k of the first one's rows. Only those of
        low-rank interactions are equally frequent, so that no few pairs have most of the rows.
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
    """Ids of each column; those that interact with none fill up the vocabulary, from a few to a third of it."""
    interacting = {name: round(size * math.sqrt(more_pairs)) for name, size in INTERACTING.items()}
    others = [name for name in IDS if name not in INTERACTING]
    left = vocabulary - sum(interacting.values())
    if left < _LEAST_OTHERS:
        least = vocabulary - left + _LEAST_OTHERS
        raise ValueError(f"expected a vocabulary of at least {least:,} ids, received {vocabulary:,}")
    growing = np.geomspace(4, left / 3, len(others))
    sizes = np.maximum(2, growing * left / growing.sum()).astype(int)
    return {**interacting, **dict(zip(others, map(int, sizes), strict=True))}
