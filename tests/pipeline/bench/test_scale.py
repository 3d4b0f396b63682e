import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from rich.console import Console

from pipeline.bench.scale import _BY_BEAM, Cost, ScaleBenchmark, tables, write_dataset
from pipeline.bench.sides import frame, measured
from pipeline.cli import cli
from pipeline.terminal.json import as_json
from schema.criteo.generator import IDS, NUMBERS
from schema.dataset import find
from schema.reader import read

BENCHMARK = ScaleBenchmark(
    format="parquet",
    cpus=2,
    settings=("train.epochs=1",),
    costs={
        1000: {"ExampleGen": Cost(1000, 10.0, 9.0, 500), "Pusher": Cost(0, 7.0, 6.0, 300)},
        11_000: {"ExampleGen": Cost(11_000, 12.0, 11.5, 600), "Pusher": Cost(0, 7.0, 6.0, 300)},
    },
    flink={
        # 20 s more for 10,000 rows more, and 12 s with two.
        1: {1000: dict.fromkeys(_BY_BEAM, Cost(1000, 30.0, 9.0, 500)),
            11_000: dict.fromkeys(_BY_BEAM, Cost(11_000, 50.0, 9.0, 500))},
        2: {1000: dict.fromkeys(_BY_BEAM, Cost(1000, 33.0, 9.0, 500)),
            11_000: dict.fromkeys(_BY_BEAM, Cost(11_000, 45.0, 9.0, 500))},
    },
)  # fmt: skip


def test_a_further_row_is_told_from_two_sizes():
    # 2.5 s of CPU more for 10,000 rows more.
    assert list(BENCHMARK.per_row("ExampleGen")) == [pytest.approx(250.0)]


def test_what_further_workers_are_worth_is_told_from_further_rows():
    assert BENCHMARK.speed_up("Transform", 2) == pytest.approx(20 / 12)


def test_the_table_has_a_line_for_each_component():
    console = Console(width=200)
    with console.capture() as captured:
        for table in tables(BENCHMARK):
            console.print(table)
    lines = [cells for line in captured.get().splitlines() if (cells := line.split())]
    rows = {name: cells for name, *cells in lines}
    components = {name: cells for name, *cells in reversed(lines)}  # the first table's go before the second's
    assert components["ExampleGen"] == ["10.0", "100", "500", "12.0", "917", "600", "250.0"]
    assert components["Pusher"] == ["7.0", "300", "7.0", "300"]
    assert "train.epochs=1" in captured.get()
    assert rows["Transform"] == ["30.0", "33.0", "50.0", "45.0", "1.67"]


def test_json_holds_all_of_it():
    content = json.loads(as_json(BENCHMARK))
    assert content["costs"]["11000"]["ExampleGen"]["mebibytes"] == 600


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_the_dataset_has_the_rows_in_either_format(form, tmp_path: Path):
    rows = write_dataset(tmp_path, 1000, form)
    dataset = find(str(tmp_path))
    assert rows == {"train": 800, "eval": 100, "test": 100}
    assert {split: sum(len(batch) for path in files for batch in read(path, dataset.spec))
            for split, files in dataset.files.items()} == rows  # fmt: skip


def test_pandas_makes_transforms_features(tmp_path: Path):
    def table(first: list[str], number: list[float | None]) -> pa.Table:
        rows = len(first)
        return pa.table(
            {"label": [0] * rows}
            | {name: pa.array(number, pa.int64()) for name in NUMBERS}
            | {name: first if name == "C1" else ["x"] * rows for name in IDS}
        )

    for split, content in {
        "train": table(["b"] * 6 + ["a"] * 5 + ["rare"], [0, 2] * 5 + [None, 1]),
        "eval": table(["a", "rare", "new"], [None, 0, 0]),
    }.items():
        (tmp_path / split).mkdir()
        parquet.write_table(content, tmp_path / split / "0.parquet")
    output, vocabularies = tmp_path / "features.parquet", tmp_path / "vocabularies.json"
    flags = ["--data", str(tmp_path), "--output", str(output), "--vocabularies", str(vocabularies)]
    result = CliRunner().invoke(frame.main, flags, catch_exceptions=False)
    assert result.exit_code == 0

    sizes = json.loads(vocabularies.read_text())
    assert sizes["C1"] == 2
    assert sizes["C1_x_C2"] == 2
    assert sizes["C3"] == 1
    features = pd.read_parquet(output)
    # The most frequent first; what is rare or new is behind them.
    assert features["C1"].tolist() == [0] * 6 + [1] * 5 + [2] + [1, 2, 2]
    seen = np.log1p([0, 2] * 5 + [1])
    expected = (np.log1p([0, 2]) - seen.mean()) / seen.std()
    np.testing.assert_allclose(features["I1"].iloc[:2], expected, rtol=1e-6)
    assert features["I1"].iloc[10] == 0  # missing


def test_a_command_is_measured_and_its_status_passed_on(tmp_path: Path):
    file = tmp_path / "took.json"
    allocating = "x = bytearray(200 << 20); x[::4096] = b'1' * len(x[::4096]); raise SystemExit(3)"
    command = [sys.executable, "-m", measured.__name__, str(file), sys.executable, "-c", allocating]
    assert subprocess.run(command, check=False).returncode == 3
    took = json.loads(file.read_text())
    assert 200 <= took["mebibytes"] < 300
    assert 0 < took["cpu_seconds"] <= 2 * took["seconds"]


def test_too_few_rows_are_refused():
    result = CliRunner().invoke(cli, ["bench-scale", "--rows", "1000,20"])
    assert result.exit_code == 2
    assert "expected numbers of at least 1000, with commas, received '1000,20'" in result.output
