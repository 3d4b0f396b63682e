"""On which devices, and by which machines, a model is trained."""

from __future__ import annotations

import tensorflow as tf

from trainer.params import TrainParams


def strategy_for(params: TrainParams) -> tf.distribute.Strategy:
    """The strategy that `params.distribution` names; a model is made and trained in its scope.

    Batches are shared out among replicas, and their gradients summed, so that a training is the same on any number
    of devices, but for batch normalisation, whose statistics are those of each replica's share.

    To be called before TensorFlow does anything else: with `multi_worker` the machines that TF_CONFIG names are
    connected here.
    """
    if params.distribution == "mirrored":
        # TensorFlow's default, collective operations, fails for gradients whose length differs from step to step, as
        # those of tables do.
        return tf.distribute.MirroredStrategy(cross_device_ops=tf.distribute.HierarchicalCopyAllReduce())
    if params.distribution == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def sum_over_replicas(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor | tf.IndexedSlices:
    """A replica's gradient -> the sum of all replicas'. To be called in a replica.

    The gradient of a table has other rows on each of them, and collective operations, which alone connect machines,
    take tensors of one size only: there it is summed whole, and the rows that any replica has are taken out again.
    """
    replicas = tf.distribute.get_replica_context()
    total = tf.distribute.ReduceOp.SUM
    if not _connects_machines(replicas.strategy) or not isinstance(gradient, tf.IndexedSlices):
        return replicas.all_reduce(total, gradient)
    whole = replicas.all_reduce(total, tf.convert_to_tensor(gradient))
    rows = tf.where(tf.reduce_any(whole != 0, axis=1))[:, 0]
    return tf.IndexedSlices(tf.gather(whole, rows), rows, gradient.dense_shape)


def is_chief() -> bool:
    """Whether this process is the one that writes checkpoints and models: the only one, or the first worker."""
    strategy = tf.distribute.get_strategy()
    if not _connects_machines(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and (resolver.task_type, resolver.task_id) == ("worker", 0)
    )


def _connects_machines(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
