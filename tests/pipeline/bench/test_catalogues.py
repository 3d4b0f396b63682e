from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline.bench import catalogues
from pipeline.bench.catalogues import Catalogue, CatalogueBenchmark, per_item_us, tables
from pipeline.bench.ways import Way
from pipeline.cli import cli

BENCHMARK = CatalogueBenchmark(
    [
        Catalogue(
            model="wide_deep",
            items=2000,
            known_mebibytes=1,
            loaded_mebibytes=509,
            most_mebibytes=541,
            ways=[
                Way("columns, context repeated", 100, 33_633, 1.4, 3.0),
                Way("the best 10 of all", None, 593, 2.8, 4.0),
            ],
        )
    ]
)


def test_the_best_of_all_are_of_all_items():
    repeated, best = BENCHMARK.catalogues[0].ways
    assert per_item_us(repeated, 2000) == pytest.approx(14)
    assert per_item_us(best, 2000) == pytest.approx(1.4)


def test_the_table_compares_with_the_first_way():
    console = Console(width=200)
    with console.capture() as captured:
        for table in tables(BENCHMARK):
            console.print(table)
    lines = [line.split() for line in captured.get().splitlines() if line.split()]
    best = next(cells for cells in lines if "best" in cells)
    assert best[-6:] == ["2,000", "593", "2.800", "4.00", "1.400", "10.0"]
    assert ["wide_deep", "2,000", "1", "509", "541"] in lines


def test_the_crosses_are_of_both_sides():
    spec = catalogues._spec()
    assert {spec.side(cross.name) for cross in spec.crosses} == {"pair"}


def test_it_measures_every_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(catalogues, "MODELS", ("wide_deep",))
    monkeypatch.setattr(catalogues, "_ROWS", 200)
    file = tmp_path / "found.json"
    asked = ["bench-serve", "--catalogue", "50", "--rounds", "1", "--seconds", "0.05", "--json", str(file)]
    assert CliRunner().invoke(cli, asked, catch_exceptions=False).exit_code == 0
    (found,) = json.loads(file.read_text())["catalogues"]
    assert found["items"] == 50
    assert [way["candidates"] for way in found["ways"]] == [100, 100, 100, None]
    assert all(way["in_process_ms"] > 0 and way["p50_ms"] > 0 for way in found["ways"])
    assert found["most_mebibytes"] >= found["loaded_mebibytes"] - 10
