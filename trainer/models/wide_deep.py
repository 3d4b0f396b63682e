"""Wide & Deep: memorising and generalising together."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.input_columns import InputColumn
from trainer.models.deep import Deep
from trainer.models.joint import Joint, columns_of
from trainer.models.registry import register
from trainer.models.wide import Wide
from trainer.params import TrainParams


@register("wide_deep")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """The joint model (Cheng et al., Wide & Deep Learning for Recommender Systems, 2016, equation 3)::

        P(y = 1) = σ(w_wideᵀ[x, φ(x)] + w_deepᵀa⁽ᴸ⁾ + b)

    Both parts are trained at once, so that the wide part needs few crosses, only to mend what the deep part gets
    wrong: FTRL with L1 for the wide part's weights, AdaGrad or Adam for the rest.
    """
    return Joint([Wide(columns_of("wide", columns), units), Deep(columns_of("deep", columns), params, units)], units)
