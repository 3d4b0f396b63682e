"""The places of a run's files, all below `RunConfig.root`.

runs/metadata.sqlite                    ML Metadata of all datasets
runs/<dataset>/artifacts/<Component>/   the components' outputs
runs/<dataset>/serving/<version>/       pushed models: the base path of a model server
runs/<dataset>/requests/                the requests and answers of `rankline serve --log-requests`
runs/<dataset>/serve.log                TensorFlow's log of `rankline serve`
runs/<dataset>/logs/<run id>/           run.log, the inferred schema, a summary
runs/<dataset>/lock                     the lock of the current run
runs/<dataset>/backfill/<name>/         the state of `rankline backfill`, its table and picture
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    root: Path
    dataset: str

    @property
    def metadata(self) -> Path:
        return self.root / "metadata.sqlite"

    @property
    def artifacts(self) -> Path:
        return self.root / self.dataset / "artifacts"

    @property
    def serving(self) -> Path:
        return self.root / self.dataset / "serving"

    @property
    def requests(self) -> Path:
        """The request log of a server of the pushed models."""
        return self.root / self.dataset / "requests"

    @property
    def serve_log(self) -> Path:
        """TensorFlow's log in a server of the pushed models."""
        return self.root / self.dataset / "serve.log"

    @property
    def work(self) -> Path:
        """The checkpoints of an interrupted training."""
        return self.root / self.dataset / "work"

    @property
    def lock(self) -> Path:
        """The lock file of the current run."""
        return self.root / self.dataset / "lock"

    def backfill(self, name: str) -> Path:
        return self.root / self.dataset / "backfill" / name

    def logs(self, run_id: str) -> Path:
        return self.root / self.dataset / "logs" / run_id
