"""Networks of cross layers, and their place in a model; the layers have tests of their own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.input_columns import InputColumn
from trainer.models.cross_network import CrossNetwork
from trainer.models.dcn_v2 import MatrixCross
from trainer.params import TrainParams

CROSS_MODELS = ["dcn", "dcn_v2", "dcn_mix", "cross_deep", "wide_cross"]
ID = InputColumn("id", "categorical", ("wide", "deep"), size=3, width=2, table="id")
IDS = {"id": tf.constant([0, 2], tf.int64)}


def test_a_network_of_two_layers_makes_crosses_of_three(set_weights) -> None:
    """Layers of W = 1 (the number) and b = 0 on x₀ = 2: x₁ = 2 · 2 + 2 = 6, x₂ = 2 · 6 + 6 = 18 = x₀³ + 2x₀² + x₀."""
    network = set_weights(CrossNetwork(1, TrainParams(cross_layers=2), MatrixCross), [[1.0]], 0.0, [[1.0]], 0.0)
    np.testing.assert_allclose(network(tf.constant([[2.0], [0.5]])), [[18], [0.125 + 0.5 + 0.5]])


@pytest.mark.parametrize("name", CROSS_MODELS)
def test_two_logits_have_weights_of_their_own(numbers, name: str) -> None:
    keras.utils.set_random_seed(1)
    model = models.build([*numbers.columns, ID], TrainParams(model=name, hidden_units=(4,)), units=2)
    for variable in model.wide_variables:
        variable.assign(tf.random.stateless_normal(variable.shape, seed=[0, 1]))
    found = model({**numbers.features, **IDS}).numpy()
    assert found.shape == (2, 2)
    assert (found[:, 0] != found[:, 1]).all()


@pytest.mark.parametrize("name", [*CROSS_MODELS, "deep", "deepfm"])
@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_products_in_bfloat16(numbers, name: str, structure: str) -> None:
    """Weights and logits stay float32, and the logits are those of float32 to bfloat16's 8 bits."""
    found = {}
    for precision in ("float32", "bfloat16"):
        keras.utils.set_random_seed(1)
        params = TrainParams(model=name, hidden_units=(16, 16), precision=precision, cross_structure=structure)
        model = models.build([*numbers.columns, ID], params)
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
        found[precision] = model({**numbers.features, **IDS})
        assert found[precision].dtype == tf.float32
    assert (found["float32"].numpy() != found["bfloat16"].numpy()).any()
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.05, atol=0.05)
