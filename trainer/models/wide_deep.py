"""Wide & Deep, which memorises and generalises."""

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

    Both parts are trained jointly, so that the wide part needs only the few crosses that correct the deep part's
    errors: FTRL with L1 trains the wide part's weights, AdaGrad or Adam the rest.
    """
    return Joint([Wide(columns_of("wide", columns), units), Deep(columns_of("deep", columns), params, units)], units)
