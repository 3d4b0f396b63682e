"""The devices and machines that train a model."""

from __future__ import annotations

import tensorflow as tf

from trainer.params import TrainParams


def strategy_for(params: TrainParams) -> tf.distribute.Strategy:
    """The strategy that `params.distribution` names. Make and train the model in its scope.

    Each batch is split among the replicas, and their gradients are summed. So a training run is the same on any number
    of devices, except for batch normalisation with `multi_worker`, whose statistics are those of each replica's share.

    Call this before TensorFlow does anything else, since `multi_worker` connects the machines that TF_CONFIG names.
    """
    if params.distribution == "mirrored":
        # TensorFlow's default, collective operations, fails for the gradients of tables, whose length differs from
        # step to step.
        return tf.distribute.MirroredStrategy(cross_device_ops=tf.distribute.HierarchicalCopyAllReduce())
    if params.distribution == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def sum_over_replicas(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor | tf.IndexedSlices:
    """Sums the gradient over all replicas. Call this in a replica.

    The gradient of a table has different rows on each replica. Machines are connected by collective operations, which
    take only tensors of one size: between machines the gradient is summed as a dense tensor, and its rows other than 0
    are gathered again.
    """
    replicas = tf.distribute.get_replica_context()
    total = tf.distribute.ReduceOp.SUM
    if not _connects_machines(replicas.strategy) or not isinstance(gradient, tf.IndexedSlices):
        return replicas.all_reduce(total, gradient)
    whole = replicas.all_reduce(total, tf.convert_to_tensor(gradient))
    rows = tf.where(tf.reduce_any(whole != 0, axis=1))[:, 0]
    return tf.IndexedSlices(tf.gather(whole, rows), rows, gradient.dense_shape)


def is_chief() -> bool:
    """Whether this process writes checkpoints and models: the only process, the chief, or the first worker."""
    strategy = tf.distribute.get_strategy()
    if not _connects_machines(strategy):
        return True
    resolver = strategy.cluster_resolver
    return resolver.task_type == "chief" or (
        "chief" not in resolver.cluster_spec().jobs and (resolver.task_type, resolver.task_id) == ("worker", 0)
    )


def _connects_machines(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
