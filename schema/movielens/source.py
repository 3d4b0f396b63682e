"""Fetches MovieLens-100k (Harper and Konstan, The MovieLens Datasets, 2015) from a Python package that contains a copy.

Its licence allows no redistribution, so this repository contains none of it.
"""

import zipfile
from pathlib import Path

import pandas as pd

from schema.fetching import package_file

_PACKAGE = "recbole==1.2.1"
_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_MEMBER = "recbole/dataset_example/ml-100k/ml-100k.{}"


def fetch(folder: Path) -> None:
    """Joins ratings, people and movies into `ratings.parquet`, with one row per rating, the earliest first."""
    with package_file(_PACKAGE, _SHA256) as path, zipfile.ZipFile(path) as archive:
        ratings, people, movies = (_table(archive, name) for name in ("inter", "user", "item"))
    rows = ratings.merge(people, on="user_id", validate="many_to_one")
    rows = rows.merge(movies, on="item_id", validate="many_to_one")
    rows = rows.sort_values(["timestamp", "user_id", "item_id"])

    times = pd.to_datetime(rows["timestamp"].astype("int64"), unit="s")  # UTC
    # One movie has no known title, and a comma in another's title has moved its year to another column.
    year = pd.to_numeric(rows["release_year"], errors="coerce").astype("Int64")
    genres = rows["class"].str.split(" ")
    pd.DataFrame(
        {
            "user_id": rows["user_id"].astype("int64"),
            "item_id": rows["item_id"].astype("int64"),
            "rating": rows["rating"].astype("int64"),
            "timestamp": rows["timestamp"].astype("int64"),
            "gender": rows["gender"],
            "age": rows["age"].astype("int64"),
            "occupation": rows["occupation"],
            "zip_prefix": rows["zip_code"].str[:1],  # a region of the US; of Canada, a letter
            "title": rows["movie_title"].where(rows["movie_title"] != "unkonwn", "(unknown)"),
            "genres": genres.map(lambda names: [name for name in names if name != "unknown"]),
            "year": year,
            "hour": times.dt.hour.astype("int64"),
            "weekday": times.dt.day_name(),
        }
    ).to_parquet(folder / "ratings.parquet", index=False)


def _table(archive: zipfile.ZipFile, name: str) -> pd.DataFrame:
    """Reads one of the package's tab-separated files as texts. Its header has the form `name:type`."""
    with archive.open(_MEMBER.format(name)) as file:
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, quoting=3)  # 3: quotes are letters
    return table.rename(columns=lambda column: column.split(":")[0])
