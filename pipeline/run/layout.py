"""Where a run's things are, all below `RunConfig.root`.

runs/metadata.sqlite                    ML Metadata of all datasets
runs/<dataset>/artifacts/<Component>/   what components wrote
runs/<dataset>/serving/<version>/       pushed models: the base path of a model server
runs/<dataset>/requests/                what `rankline serve --log-requests` was asked and answered
runs/<dataset>/serve.log                what TensorFlow says in `rankline serve`
runs/<dataset>/logs/<run id>/           run.log, the inferred schema, a summary
runs/<dataset>/lock                     held by the run that is going on
runs/<dataset>/backfill/<name>/         what `rankline backfill` has done, its table and picture
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
        """What TensorFlow says in a server of the pushed models."""
        return self.root / self.dataset / "serve.log"

    @property
    def work(self) -> Path:
        """Checkpoints of a training that was interrupted."""
        return self.root / self.dataset / "work"

    @property
    def lock(self) -> Path:
        """Held by the run that is going on."""
        return self.root / self.dataset / "lock"

    def backfill(self, name: str) -> Path:
        return self.root / self.dataset / "backfill" / name

    def logs(self, run_id: str) -> Path:
        return self.root / self.dataset / "logs" / run_id
