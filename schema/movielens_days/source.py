"""MovieLens-100k as it arose day by day: a file for each day (UTC) with ratings."""

from pathlib import Path

import pandas as pd

from schema.fetching import fetched
from schema.movielens import source


def fetch(folder: Path) -> None:
    """Writes a `YYYY-MM-DD.parquet` for each day, the earliest rating first."""
    ratings = pd.read_parquet(fetched("movielens", Path(source.__file__)) / "ratings.parquet")
    days = pd.to_datetime(ratings["timestamp"], unit="s").dt.date
    for day, rows in ratings.groupby(days):
        rows.to_parquet(folder / f"{day}.parquet", index=False)
