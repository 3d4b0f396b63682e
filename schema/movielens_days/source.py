"""MovieLens-100k as its users made it: a file for each day (UTC) on which anything was rated."""

from pathlib import Path

import pandas as pd

from schema.fetching import fetched
from schema.movielens import source


def fetch(folder: Path) -> None:
    """Writes `YYYY-MM-DD.parquet`, the earliest rating first."""
    ratings = pd.read_parquet(fetched("movielens", Path(source.__file__)) / "ratings.parquet")
    days = pd.to_datetime(ratings["timestamp"], unit="s").dt.date
    for day, rows in ratings.groupby(days):
        rows.to_parquet(folder / f"{day}.parquet", index=False)
