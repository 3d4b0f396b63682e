"""pytorch-widedeep's Wide with TabMlp, and its DeepCrossNetworkV2."""

from __future__ import annotations

import itertools
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_widedeep import Trainer
from pytorch_widedeep.models import TabMlp, Wide, WideDeep
from pytorch_widedeep.models.rec import DeepCrossNetworkV2
from pytorch_widedeep.training._wd_dataset import WideDeepDataset
from torch.utils.data import DataLoader

from pipeline.bench.sides.worker import Job, Rows, Side, serve


class PytorchWideDeep(Side):
    """Takes the step of the library's `Trainer`. Ids begin at 1, as after its preprocessors."""

    def __init__(self, job: Job, rows: Rows) -> None:
        torch.manual_seed(0)
        self._first_id = 1 + np.concatenate([[0], np.cumsum(job.sizes)[:-1]])
        ids = [f"C{column}" for column in range(len(job.sizes))]
        numbers = [f"I{column}" for column in range(rows.numbers.shape[1])]
        inputs = {
            "column_idx": {name: index for index, name in enumerate([*ids, *numbers])},
            "cat_embed_input": [(name, size, job.width) for name, size in zip(ids, job.sizes, strict=True)],
            "continuous_cols": numbers,
        }
        mlp = {"mlp_hidden_dims": list(job.hidden_units), "mlp_dropout": 0.0}
        self._wide = job.model == "wide_deep"
        if self._wide:
            model = WideDeep(wide=Wide(sum(job.sizes)), deeptabular=TabMlp(**inputs, **mlp))
        else:
            cross = {"num_cross_layers": job.cross_layers, "num_experts": 1, "structure": "parallel"}
            model = WideDeep(deeptabular=DeepCrossNetworkV2(**inputs, **mlp, **cross))
        self._trainer = Trainer(model, objective="binary", optimizers=torch.optim.Adam(model.parameters()), verbose=0)
        self._trainer.train_running_loss = 0.0
        self._data = WideDeepDataset(**self._arrays(rows), target=rows.labels)
        self._batch_size = job.batch_size
        self._batches = itertools.cycle(
            [(self._inputs(batch), torch.from_numpy(batch.labels)) for batch in rows.batches(job.batch_size)]
        )

    def train(self, steps: int) -> None:
        for step, (inputs, labels) in enumerate(itertools.islice(self._batches, steps)):
            self._trainer._train_step(inputs, labels, step)

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        with torch.no_grad():
            scores: npt.NDArray[Any] = self._trainer.model.eval()(self._inputs(rows)).numpy().ravel()
        return scores

    def read(self, batches: int) -> None:
        for _ in itertools.islice(DataLoader(self._data, self._batch_size, shuffle=True), batches):
            pass

    def _arrays(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        arrays = {"X_tab": np.concatenate([rows.ids + 1, rows.numbers], axis=1, dtype=np.float32)}
        if self._wide:
            arrays["X_wide"] = rows.ids + self._first_id
        return arrays

    def _inputs(self, rows: Rows) -> dict[str, torch.Tensor]:
        names = {"X_wide": "wide", "X_tab": "deeptabular"}
        return {names[name]: torch.from_numpy(values) for name, values in self._arrays(rows).items()}


if __name__ == "__main__":
    serve(PytorchWideDeep, version("pytorch-widedeep"))
