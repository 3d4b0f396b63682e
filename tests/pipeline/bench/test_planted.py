"""The paper's claim where the truth is known: wide memorises, deep generalises, and Wide & Deep does both."""

from __future__ import annotations

import pytest
from rich.console import Console

from pipeline.bench import planted
from pipeline.bench.planted import Found

ROWS = 100_000


def silent(truth: str, model: str, seed: int) -> None:
    pass


def wide_and_deep(truth: str, rows: int) -> Found:
    return planted.run(rows, [0], silent, truths=[truth], names=["wide", "deep"])[truth]


def excess(found: Found, model: str) -> float:
    (value,) = found.excess(model)
    assert value > 0, "nobody is better than who knows the truth"
    return value


def test_wide_memorises_crosses() -> None:
    found = wide_and_deep("crosses", ROWS // 2)
    assert excess(found, "wide") < 0.6 * excess(found, "deep")


@pytest.mark.long
def test_deep_generalises_over_interactions() -> None:
    found = wide_and_deep("low rank", ROWS)
    assert excess(found, "deep") < 0.6 * excess(found, "wide")


@pytest.mark.long
def test_together_they_are_better_than_either() -> None:
    found = planted.run(ROWS, [0], silent, truths=["both"])["both"]
    both = excess(found, "wide_deep")
    assert both < excess(found, "wide")
    assert both < excess(found, "deep")


def test_table() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(planted.table({"both": Found(0.4, {name: [0.41, 0.43] for name in planted.MODELS})}))
    # 10 and 30 thousandths: mean 20, deviation √(2 · 100) = 14.1.
    assert shown.get().count("20.0 ± 14.1") == 3
