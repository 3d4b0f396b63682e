"""A stranger's dataset: a folder with a features.yaml and files of any format."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset's folder: its description, and files whose content is text, bytes or a table."""

    def make(description: str, files: Mapping[str, str | bytes | pa.Table]) -> Path:
        folder = tmp_path / "stranger"
        folder.mkdir()
        (folder / "features.yaml").write_text(description, encoding="utf-8")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make
