import json

import pytest


@pytest.mark.long
def test_bench_measures_a_run_and_keeps_nothing_of_it(stranger, rankline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = rankline("bench", "--dataset", str(stranger.folder), "--json", "new/bench.json")
    measured = json.loads((tmp_path / "new" / "bench.json").read_text())

    assert (done.returncode, done.stderr) == (0, "")
    assert "wide_deep on stranger, 1,600 rows" in done.stdout
    assert measured["rows"] == 1600
    assert set(measured["rows_per_second"]) <= set(measured["seconds"])
    assert sum(measured["seconds"].values()) <= measured["total_seconds"]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
