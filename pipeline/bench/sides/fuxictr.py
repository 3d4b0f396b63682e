"""Wide & Deep and DCN-V2 from FuxiCTR's layers, as its model zoo combines them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, LogisticRegression, MLP_Block
from fuxictr.pytorch.models import BaseModel

from pipeline.bench.sides.worker import Job, Rows, Side, serve

_LABEL = "label"


class Network(BaseModel):  # type: ignore[misc]
    """The model zoo's networks, but with numbers as they are beside the embeddings. Its `FeatureEmbedding` would
    multiply each number by a vector, which the other sides do not do.
    """

    def __init__(self, job: Job, features: FeatureMap, numbers: list[str], folder: str) -> None:
        super().__init__(features, verbose=0, model_root=folder, metrics=["AUC"])
        self._numbers = numbers
        self._embeddings = FeatureEmbedding(features, job.width, not_required_feature_columns=numbers)
        width = len(job.sizes) * job.width + len(numbers)
        hidden = list(job.hidden_units)
        self._mlp = MLP_Block(width, hidden_units=hidden)
        self._is_wide_deep = job.model == "wide_deep"
        if self._is_wide_deep:
            self._wide = LogisticRegression(features)
            self._logit = torch.nn.Linear(hidden[-1], 1)
        else:
            self._cross = CrossNetV2(width, job.cross_layers)
            self._logit = torch.nn.Linear(hidden[-1] + width, 1)
        self.compile("adam", "binary_crossentropy", 0.001)
        self.reset_parameters()

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        inputs = self.get_inputs(batch)
        numbers = [inputs[name].float().view(-1, 1) for name in self._numbers]
        x = torch.cat([self._embeddings(inputs, flatten_emb=True), *numbers], dim=1)
        if self._is_wide_deep:
            logit = self._logit(self._mlp(x)) + self._wide(inputs)
        else:
            logit = self._logit(torch.cat([self._cross(x), self._mlp(x)], dim=1))
        return {"y_pred": self.output_activation(logit)}


class FuxiCtr(Side):
    """Takes the step of `BaseModel.train_step`."""

    def __init__(self, job: Job, rows: Rows) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._features = FeatureMap("criteo", self._folder.name)
        ids = {f"C{column}": {"type": "categorical", "vocab_size": size} for column, size in enumerate(job.sizes)}
        numbers = [f"I{column}" for column in range(rows.numbers.shape[1])]
        self._features.features.update({**ids, **{name: {"type": "numeric"} for name in numbers}})
        self._features.labels = [_LABEL]
        self._features.num_fields = len(self._features.features)
        self._features.set_column_index()
        torch.manual_seed(0)
        self._network = Network(job, self._features, numbers, self._folder.name)
        self._network._max_gradient_norm = 10.0  # what its `fit` sets
        self._rows = rows
        self._batch_size = job.batch_size
        self._batches = itertools.cycle([self._columns(batch) for batch in rows.batches(job.batch_size)])

    def train(self, steps: int) -> None:
        self._network.train()
        for batch in itertools.islice(self._batches, steps):
            self._network.train_step(batch).item()

    def predict(self, rows: Rows) -> npt.NDArray[Any]:
        with torch.no_grad():
            scores: npt.NDArray[Any] = self._network.eval()(self._columns(rows))["y_pred"].numpy().ravel()
        return scores

    def read(self, batches: int) -> None:
        path = Path(self._folder.name) / "rows.npz"
        if not path.exists():
            np.savez(path, **{name: values.numpy() for name, values in self._columns(self._rows).items()})
            self._loader = NpzDataLoader(self._features, str(path), self._batch_size, shuffle=True)
        for _ in itertools.islice(self._loader, batches):
            pass

    def _columns(self, rows: Rows) -> dict[str, torch.Tensor]:
        columns = {f"C{index}": column for index, column in enumerate(rows.ids.T)}
        columns |= {f"I{index}": column for index, column in enumerate(rows.numbers.T)}
        columns[_LABEL] = rows.labels
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in columns.items()}


if __name__ == "__main__":
    serve(FuxiCtr, version("fuxictr"))
