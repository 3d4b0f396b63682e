"""DeepCTR-Torch's WDL and DCN (matrix)."""

from __future__ import annotations

import itertools
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import DCN, WDL
from torch.utils.data import DataLoader, TensorDataset

from pipeline.bench.sides.worker import Job, Rows, Side, serve


class DeepCtrTorch(Side):
    """Takes the step of the library's `fit`, without metrics."""

    def __init__(self, job: Job, rows: Rows) -> None:
        ids = [SparseFeat(f"C{column}", size, job.width) for column, size in enumerate(job.sizes)]
        columns = [*ids, *(DenseFeat(f"I{column}") for column in range(rows.numbers.shape[1]))]
        rules = {"l2_reg_linear": 0, "l2_reg_embedding": 0, "dnn_hidden_units": job.hidden_units}
        if job.model == "wide_deep":
            self._model = WDL(columns, columns, **rules)
        else:
            cross = {"cross_num": job.cross_layers, "cross_parameterization": "matrix", "l2_reg_cross": 0}
            self._model = DCN([], columns, **rules, **cross)
        self._model.compile("adam", "binary_crossentropy")
        self._data = TensorDataset(_inputs(rows), torch.from_numpy(rows.labels))
        self._batch_size = job.batch_size
        self._batches = itertools.cycle(
            [(_inputs(batch), torch.from_numpy(batch.labels)) for batch in rows.batches(job.batch_size)]
        )

    def train(self, steps: int) -> None:
        model = self._model.train()
        for inputs, labels in itertools.islice(self._batches, steps):
            predicted = model(inputs).squeeze(-1)
            model.optim.zero_grad()
            loss = model.loss_func(predicted, labels, reduction="sum")
            loss += (model.get_regularization_loss() + model.aux_loss).squeeze()
            loss.backward()
            model.optim.step()
            loss.item()

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        with torch.no_grad():
            scores: npt.NDArray[Any] = self._model.eval()(_inputs(rows)).numpy().ravel()
        return scores

    def read(self, batches: int) -> None:
        for _ in itertools.islice(DataLoader(self._data, self._batch_size, shuffle=True), batches):
            pass


def _inputs(rows: Rows) -> torch.Tensor:
    """One matrix, in the order of the columns above."""
    return torch.from_numpy(np.concatenate([rows.ids.astype(np.float32), rows.numbers], axis=1))


if __name__ == "__main__":
    serve(DeepCtrTorch, version("deepctr-torch"))
