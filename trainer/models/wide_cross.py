"""A wide part and a cross network: listed crosses and learned crosses."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.input_columns import InputColumn
from trainer.models.cross_network import Cross
from trainer.models.dcn_v2 import MatrixCross
from trainer.models.joint import Joint, columns_of
from trainer.models.registry import register
from trainer.models.wide import Wide
from trainer.params import TrainParams


@register("wide_cross")
def build(columns: Sequence[InputColumn], params: TrainParams, units: int) -> Joint:
    """The wide part beside a cross network (Wang et al., DCN V2, 2021, equation 1) instead of an MLP::

    P(y = 1) = σ(w_wideᵀ[x, φ(x)] + w_crossᵀ x_L + b)
    """
    return Joint(
        [Wide(columns_of("wide", columns), units), Cross(columns_of("deep", columns), params, units, MatrixCross)],
        units,
    )
