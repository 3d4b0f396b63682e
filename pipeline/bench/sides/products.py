"""The bound: only the matrix products of a step in the model's dense layers, forward and backward."""

from __future__ import annotations

import itertools

import tensorflow as tf

from pipeline.bench.sides.worker import Job, Rows, Side, serve


class Products(Side):
    """Computes per layer y = xW, with g the gradient of y: y, the weights' gradient xᵀg and the inputs' gWᵀ."""

    def __init__(self, job: Job, rows: Rows) -> None:
        inputs = len(job.sizes) * job.width + rows.numbers.shape[1]
        widths = [inputs, *job.hidden_units]
        shapes = list(itertools.pairwise(widths))
        if job.model == "dcn_v2":
            shapes += [(inputs, inputs)] * job.cross_layers

        def noise(*shape: int) -> tf.Tensor:
            return tf.cast(tf.random.stateless_normal(shape, seed=[0, 0]), job.precision)

        self._factors = [(noise(job.batch_size, m), noise(m, n), noise(job.batch_size, n)) for m, n in shapes]

    @tf.function  # type: ignore[untyped-decorator]
    def _step(self) -> list[tf.Tensor]:
        return [
            product
            for x, weights, gradient in self._factors
            for product in (
                tf.matmul(x, weights),
                tf.matmul(x, gradient, transpose_a=True),
                tf.matmul(gradient, weights, transpose_b=True),
            )
        ]

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self._step()


if __name__ == "__main__":
    serve(Products, tf.__version__)
