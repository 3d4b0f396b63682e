"""Wide & Deep with a cross network in place of the wide part."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.input_columns import InputColumn
from trainer.models.cross_network import Cross
from trainer.models.dcn_v2 import MatrixCross
from trainer.models.deep import Deep
from trainer.models.joint import Joint, columns_of
from trainer.models.registry import register
from trainer.params import TrainParams


@register("cross_deep")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """A cross network and an MLP with separate embeddings, joined as in Wide & Deep (Cheng et al., 2016, equation 3)::

        P(y = 1) = σ(w_crossᵀ x_L + w_deepᵀ a⁽ᴸ⁾ + b)

    The cross network sees the columns of the deep part, and learns the crosses that would otherwise be listed for the
    wide part. Unlike in `dcn_v2`, the part that memorises and the part that generalises do not share embeddings.
    """
    columns = columns_of("deep", columns)
    return Joint([Cross(columns, params, units, MatrixCross), Deep(columns, params, units)], units)
