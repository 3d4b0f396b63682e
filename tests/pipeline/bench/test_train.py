import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pipeline.bench import train
from pipeline.bench.sides.worker import Job, Rows
from pipeline.bench.train import Measured, Setting, TrainBenchmark
from pipeline.terminal.json import as_json
from schema.errors import SpecError

NO_PEERS = Path("no-such-environment/bin/python")
SMALL = Setting(models=["wide_deep"], totals=[10_000], rounds=1, steps=2, batch_size=64, python=NO_PEERS)
PEERS_PYTHON = Path(__file__).parents[3] / ".venv-bench" / "bin" / "python"


@pytest.fixture
def rows() -> Rows:
    random = np.random.default_rng(0)
    return Rows(random.standard_normal((10, 13), np.float32), random.integers(0, 5, (10, 26)), np.ones(10, np.float32))


def job(folder: Path, **changes: object) -> Job:
    return Job(
        **{
            "folder": str(folder),
            "model": "wide_deep",
            "sizes": (5,) * 26,
            "batch_size": 4,
            "width": 4,
            "hidden_units": (8,),
            "cross_layers": 1,
            "precision": "float32",
            **changes,
        }
    )


def shown(measured: list[Measured]) -> dict[str, list[str]]:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(train.table(measured))
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines()]
    return {line[0]: line[1:] for line in cells if line}


def test_the_table_has_what_was_measured_and_why_the_rest_was_not():
    lines = shown(
        [
            Measured("dcn_v2", 10_000, "rankline", "1.0", 30_000.0, None, 0.75, 500_000.0, 1200),
            Measured("dcn_v2", 10_000, "products", "2.0", 60_000.0, 0.5),
            Measured("dcn_v2", 10_000, "fuxictr", failure="fuxictr ended"),
        ]
    )
    assert lines["rankline 1.0"] == ["30,000", "", "0.7500", "500,000", "1,200"]
    assert lines["products 2.0"] == ["60,000", "0.50", "", "", ""]
    assert lines["fuxictr"] == ["fuxictr ended", "", "", "", ""]


def test_json_holds_all_of_it():
    measured = [Measured("dcn_v2", 10_000, "rankline", "1.0", 30_000.0)]
    benchmark = TrainBenchmark("a processor", 2, 4096, 100, measured)
    read = json.loads(as_json(benchmark))
    assert TrainBenchmark(**{**read, "measured": [Measured(**one) for one in read["measured"]]}) == benchmark


def test_rows_come_back_from_their_files_and_in_whole_batches(rows, tmp_path):
    rows.save(tmp_path / "rows")
    loaded = Rows.load(tmp_path / "rows")
    batches = loaded.batches(4)

    assert [len(batch.labels) for batch in batches] == [4, 4]
    for field in Rows._fields:
        np.testing.assert_array_equal(getattr(loaded, field), getattr(rows, field))
        np.testing.assert_array_equal(getattr(batches[1], field), getattr(rows, field)[4:8])


def test_a_side_that_breaks_down_says_why(tmp_path):
    # The libraries to compare with are not in this environment.
    with pytest.raises(train.SideError, match=r"deepctr_torch ended: .*No module named 'torch'"):  # noqa: SIM117
        with train._side("deepctr_torch", job(tmp_path), Path(sys.executable)):
            pass


def test_bfloat16_is_measured_where_the_processor_has_it(monkeypatch):
    for flags, expected in (("fpu avx512_bf16", True), ("fpu amx_bf16 sse", True), ("fpu avx512f", False)):
        monkeypatch.setattr(train, "_cpuinfo", lambda key, flags=flags: {"flags": flags}[key])
        assert train.has_bfloat16() is expected


@pytest.mark.parametrize("bfloat16", [False, pytest.param(True, marks=pytest.mark.long)])
def test_without_the_other_libraries_the_rest_is_measured(monkeypatch, bfloat16):
    monkeypatch.setattr(train, "_HELD_OUT_ROWS", 500)
    monkeypatch.setattr(train, "has_bfloat16", lambda: bfloat16)
    tables = []
    benchmark = train.run(SMALL, tables.append)

    measured = {one.side: one for one in benchmark.measured}
    ours, bounds = ["rankline"], ["products"]
    if bfloat16:
        ours.append("rankline bfloat16")
        bounds.append("products bfloat16")
    assert set(measured) == {*ours, *bounds, *train.PEERS}
    assert len(tables) == 1
    for side in ours:
        assert measured[side].rate > 0
        assert measured[side].read_rate > 0
        assert measured[side].peak_mebibytes > 100
        assert 0 < measured[side].auc < 1
    for side in bounds:
        assert measured[side].ratio > 0
    for peer in train.PEERS:
        assert measured[peer].rate is None
        assert measured[peer].failure == (
            "expected the libraries to compare with in no-such-environment; `make bench-train` makes it"
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["deepfm"]}, "--models: expected any of wide_deep, dcn_v2, received 'deepfm'"),
        ({"totals": [9_999]}, "--ids: expected numbers of at least 10,000, received 9,999"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes, message):
    with pytest.raises(SpecError) as raised:
        train.run(replace(SMALL, **changes), lambda table: None)
    assert str(raised.value) == message


@pytest.mark.long
@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="`make bench-train` makes the environment")
@pytest.mark.parametrize(("model", "peer"), [(model, peer) for model in train.MODELS for peer in train.PEERS])
def test_other_libraries_learn_what_there_is_to_learn(model, peer, tmp_path):
    """One number decides about the label: every side finds out within some steps."""
    random = np.random.default_rng(0)
    numbers = random.standard_normal((4096, 13), np.float32)
    rows = Rows(numbers, random.integers(0, 5, (4096, 26)), (numbers[:, 3] > 0).astype(np.float32))
    rows.save(tmp_path / "train")
    rows.save(tmp_path / "held_out")
    with train._side(peer, job(tmp_path, model=model, batch_size=256, hidden_units=(32,)), PEERS_PYTHON) as side:
        assert side.ask("train", 300)["seconds"] > 0
        assert side.ask("read", 2)["seconds"] > 0
        assert side.ask("auc")["auc"] > 0.8
