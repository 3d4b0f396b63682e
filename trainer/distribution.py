"""On which devices a model is trained."""

from __future__ import annotations

import tensorflow as tf

from trainer.params import TrainParams


def strategy_for(params: TrainParams) -> tf.distribute.Strategy:
    """The strategy that `params.distribution` names; a model is made and trained in its scope.

    Batches are shared out among replicas, and their gradients summed, so that a training is the same on any number
    of devices, but for batch normalisation, whose statistics are those of each replica's share.
    """
    if params.distribution == "mirrored":
        # TensorFlow's default, collective operations, fails for gradients whose length differs from step to step, as
        # those of tables do. Across machines there is nothing else (MultiWorkerMirroredStrategy).
        return tf.distribute.MirroredStrategy(cross_device_ops=tf.distribute.HierarchicalCopyAllReduce())
    return tf.distribute.get_strategy()
