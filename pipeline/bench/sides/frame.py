"""Computes the features of `schema/criteo` with pandas, as Transform does, in one thread and in memory.

`python -m pipeline.bench.sides.frame` reads the Parquet files in the data's `train` and `eval` folders, and writes the
transformed rows of both, and the size of each vocabulary as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pandas as pd

from schema.criteo.generator import CROSSED, IDS, LOW_RANK, NUMBERS

_MIN_COUNT = 5
"""The `min_count` of schema/criteo/features.yaml."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--vocabularies", type=click.Path(path_type=Path), required=True)
def main(data: Path, output: Path, vocabularies: Path) -> None:
    """Transform the rows of a folder."""
    splits = {split: pd.read_parquet(data / split) for split in ("train", "eval")}
    rows = pd.concat(splits.values(), ignore_index=True)
    train = len(splits["train"])
    del splits
    sizes: dict[str, int] = {}
    for name in NUMBERS:
        values = np.log1p(rows.pop(name).to_numpy(np.float64))
        seen = values[:train]
        rows[name] = np.nan_to_num((values - np.nanmean(seen)) / np.nanstd(seen)).astype(np.float32)
    for one, other in (*CROSSED, *LOW_RANK):
        rows[f"{one}_x_{other}"] = rows[one] + "\x1f" + rows[other]
    for name in (*IDS, *(f"{one}_x_{other}" for one, other in (*CROSSED, *LOW_RANK))):
        tokens = rows.pop(name)
        counts = tokens[:train].value_counts()
        kept = counts[counts >= _MIN_COUNT].index
        sizes[name] = len(kept)
        rows[name] = tokens.map(pd.Series(np.arange(len(kept)), kept)).fillna(len(kept)).astype(np.int64)
    rows.to_parquet(output, compression="zstd")
    vocabularies.write_text(json.dumps(sizes))


if __name__ == "__main__":
    main()
