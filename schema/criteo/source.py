"""Generated rows in the format of the Criteo click logs, as tab-separated text without a header."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from schema.criteo.generator import IDS, NUMBERS, Generator, Rows

_ROWS = {"train": 160_000, "eval": 20_000, "test": 20_000}


def fetch(folder: Path) -> None:
    """Writes `train.tsv`, `eval.tsv` and `test.tsv`."""
    generator = Generator()
    for seed, (split, rows) in enumerate(_ROWS.items()):
        write(generator.draw(rows, seed), folder / f"{split}.tsv")


def write(rows: Rows, path: Path) -> None:
    """Writes rows in the format of Criteo's files, see `as_table`."""
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    csv.write_csv(as_table(rows), path, options)


def as_table(rows: Rows) -> pa.Table:
    """The label, the integers (null if missing), and the ids as 8 hexadecimal digits."""
    columns = [pa.array(rows.label.astype(np.int64))]
    columns += [pa.array(values, from_pandas=True).cast(pa.int64()) for values in rows.numbers.T]
    columns += [hashed(values, column) for column, values in enumerate(rows.ids.T)]
    return pa.table(columns, ["label", *NUMBERS, *IDS])


def hashed(ids: np.ndarray, column: int) -> pa.StringArray:
    """The ids of a column as 8 hexadecimal digits, which differ for different ids."""
    codes = (ids.astype(np.uint64) * np.uint64(2654435761) + np.uint64(column * 40503)) % np.uint64(2**32)
    different, index = np.unique(codes, return_inverse=True)
    return pa.array([f"{code:08x}" for code in different]).take(pa.array(index))
