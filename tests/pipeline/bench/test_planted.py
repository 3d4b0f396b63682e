"""The paper's claim where the truth is known: who memorises, who generalises, and who does both."""

from __future__ import annotations

import pytest
from rich.console import Console

from pipeline.bench import planted
from pipeline.bench.planted import Found

ROWS = 100_000


def silent(truth: str, model: str, seed: int) -> None:
    pass


@pytest.fixture(scope="module")
def apart() -> dict[str, Found]:
    """Crosses are found in half the rows; interactions take as many as these."""
    names = ["wide", "deep"]
    return planted.run(ROWS // 2, [0], silent, truths=["crosses"], names=names) | planted.run(
        ROWS, [0], silent, truths=["low rank"], names=names
    )


def excess(found: Found, model: str) -> float:
    (value,) = found.excess(model)
    assert value > 0, "nobody is better than who knows the truth"
    return value


def test_wide_memorises_crosses(apart) -> None:
    assert excess(apart["crosses"], "wide") < 0.6 * excess(apart["crosses"], "deep")


def test_deep_generalises_over_interactions(apart) -> None:
    assert excess(apart["low rank"], "deep") < 0.6 * excess(apart["low rank"], "wide")


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
