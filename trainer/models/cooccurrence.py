"""Item-item collaborative filtering: users who liked A also liked B. Counted, not trained by gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse
import sklearn.linear_model  # type: ignore[import-untyped]
import tensorflow as tf

from trainer.input_columns import InputColumn
from trainer.inputs import Examples
from trainer.models.joint import CountedPart, Joint, one_logit, ranked_columns
from trainer.models.registry import register
from trainer.params import TrainParams

_NEIGHBOURS = 100
"""The number of most similar items to keep for each item; all others count as not similar."""
_HISTORY = 200
"""The number of liked items to keep for each user, the most popular ones."""
_PRIOR = 10.0
"""The number of rows at the overall rate that are added to each item's rows, as a prior."""
_BATCH = 8192

Floats = npt.NDArray[np.float64]


class CoOccurrence(CountedPart):
    """The similarity of the item to those that the user liked (Sarwar et al., Item-Based Collaborative Filtering, 2001,
    section 3.1, equation for cosine similarity, and section 3.2.1), and the item's popularity::

        logit = a · Σⱼ sim(i, j) + c · popularity(i),   j in the items that u liked
        sim(i, j) = |Uᵢ ∩ Uⱼ| / √(|Uᵢ| |Uⱼ|),           Uᵢ the users who liked i, sim(i, i) = 0
        popularity(i) = ln(p / (1 - p)),                p the smoothed share of i's rows that are positive

    a, c and the model's bias come from a logistic regression on the eval split, which is not counted. For an unknown
    user, popularity alone decides.

    Args:
        group: the column of users (or queries, sessions).
        item: the column of items.
    """

    def __init__(self, group: InputColumn, item: InputColumn, name: str = "cooccurrence") -> None:
        super().__init__([group, item], name)
        self._group, self._item = group, item

        def counted(name: str, shape: tuple[int, ...], dtype: str) -> tf.Variable:
            return self.add_weight(shape, "zeros", dtype=dtype, trainable=False, name=name, autocast=False)

        neighbours = min(_NEIGHBOURS, item.size)
        self._neighbours = counted("neighbours", (item.size, neighbours), "int32")
        self._similarity = counted("similarity", (item.size, neighbours), "float32")
        self._history = counted("history", (group.size, min(_HISTORY, item.size)), "int32")
        self._popularity = counted("popularity", (item.size,), "float32")
        self._scale = counted("scale", (2,), "float32")
        self.built = True

    def call(self, features: Mapping[str, tf.Tensor], classes: None = None) -> tf.Tensor:
        """The logit without its bias: float32 [batch, 1]."""
        return tf.linalg.matvec(self._signals(features), self._scale)[:, tf.newaxis]

    def _signals(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Σⱼ sim(i, j) and popularity(i): float32 [batch, 2]."""
        item = features[self._item.name]
        liked = tf.gather(self._history.value, features[self._group.name])
        neighbours = tf.gather(self._neighbours.value, item)
        among_liked = tf.reduce_any(neighbours[:, :, tf.newaxis] == liked[:, tf.newaxis], axis=2)
        similarity = tf.gather(self._similarity.value, item) * tf.cast(among_liked, tf.float32)
        return tf.stack([tf.reduce_sum(similarity, axis=1), tf.gather(self._popularity.value, item)], axis=1)

    def count(self, train: Examples, held_out: Examples) -> float:
        """Counts the train split, and fits the scales to the eval split.

        Returns:
            The bias.
        """
        group, item, label = self._read(train)
        liked = label > 0.5
        likes = scipy.sparse.csr_array(
            (np.ones(liked.sum(), np.float32), (group[liked], item[liked])), (self._group.size, self._item.size)
        )
        likes.sum_duplicates()
        likes.data[:] = 1
        of_item = np.asarray(likes.sum(axis=0)).ravel()
        self._count_similarities(likes, of_item)
        self._history.assign(_most_popular(likes, of_item, self._history.shape[1]))
        rows = np.bincount(item, minlength=self._item.size)
        rate = label.mean()
        smoothed = (np.bincount(item, label, self._item.size) + _PRIOR * rate) / (rows + _PRIOR)
        self._popularity.assign(np.log(smoothed) - np.log1p(-smoothed))

        signals = np.concatenate([self._signals(features).numpy() for features, _, _ in held_out.in_order(_BATCH)])
        labels, weights = (
            np.concatenate(values)
            for values in zip(*((label, weight) for _, label, weight in held_out.in_order(_BATCH)), strict=True)
        )
        regression = sklearn.linear_model.LogisticRegression(C=np.inf, solver="newton-cholesky").fit(
            signals, labels, weights
        )
        self._scale.assign(regression.coef_[0])
        return float(regression.intercept_[0])

    def _read(self, examples: Examples) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
        batches = [
            (features[self._group.name], features[self._item.name], label)
            for features, label, _ in examples.in_order(_BATCH)
        ]
        group, item, label = (np.concatenate(values) for values in zip(*batches, strict=True))
        return group, item, label.astype(np.float64)

    def _count_similarities(self, likes: scipy.sparse.csr_array, of_item: Floats) -> None:
        norm = scipy.sparse.diags_array(1 / np.sqrt(np.maximum(of_item, 1)))
        together = norm @ (likes.T @ likes) @ norm
        together = scipy.sparse.csr_array(together - scipy.sparse.diags_array(together.diagonal()))
        neighbours, similarity = (
            np.zeros(self._neighbours.shape, np.int32),
            np.zeros(self._similarity.shape, np.float32),
        )
        for row in range(self._item.size):
            columns = together.indices[together.indptr[row] : together.indptr[row + 1]]
            values = together.data[together.indptr[row] : together.indptr[row + 1]]
            best = np.argsort(-values, kind="stable")[: neighbours.shape[1]]
            # The remaining places have a similarity of 0.
            neighbours[row, : len(best)], similarity[row, : len(best)] = columns[best], values[best]
        self._neighbours.assign(neighbours)
        self._similarity.assign(similarity)


def _most_popular(likes: scipy.sparse.csr_array, of_item: Floats, length: int) -> npt.NDArray[np.int32]:
    """The columns that are set in each row, the most popular first, padded with -1: int32 [rows, length]."""
    history = np.full((likes.shape[0], length), -1, np.int32)
    for row in range(likes.shape[0]):
        liked = likes.indices[likes.indptr[row] : likes.indptr[row + 1]]
        best = liked[np.argsort(-of_item[liked], kind="stable")[:length]]
        history[row, : len(best)] = best
    return history


@register("cooccurrence")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """Item-item collaborative filtering (Sarwar et al., 2001), a simple baseline: P(y = 1) = σ(logit + b)."""
    one_logit(params.model, units)
    return Joint([CoOccurrence(*ranked_columns(params.model, columns))], units)
