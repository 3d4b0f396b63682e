from pathlib import Path

from pipeline.run.layout import Layout


def test_datasets_share_nothing_but_their_metadata():
    one, other = Layout(Path("runs"), "one"), Layout(Path("runs"), "other")
    assert one.metadata == other.metadata == Path("runs/metadata.sqlite")
    for folder in ("artifacts", "serving", "work"):
        assert getattr(one, folder) == Path("runs/one") / folder
        assert getattr(other, folder) == Path("runs/other") / folder
    assert one.logs("20260101T000000.000") == Path("runs/one/logs/20260101T000000.000")
