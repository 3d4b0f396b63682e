"""The paper's claim where the truth is known: who memorises, who generalises, and who does both."""

from __future__ import annotations

import pytest
from rich.console import Console

from pipeline.bench import planted
from pipeline.bench.planted import Found


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    return planted.run(100_000, range(1), lambda truth, model, seed: None)


def excess(found: dict[str, Found], truth: str, model: str) -> float:
    (value,) = found[truth].excess(model)
    assert value > 0, "nobody is better than who knows the truth"
    return value


def test_wide_memorises_crosses(found) -> None:
    assert excess(found, "crosses", "wide") < 0.6 * excess(found, "crosses", "deep")


def test_deep_generalises_over_interactions(found) -> None:
    assert excess(found, "low rank", "deep") < 0.6 * excess(found, "low rank", "wide")


def test_together_they_are_better_than_either(found) -> None:
    both = excess(found, "both", "wide_deep")
    assert both < excess(found, "both", "wide")
    assert both < excess(found, "both", "deep")


def test_with_half_of_the_truth_the_other_part_does_little_harm(found) -> None:
    for truth, part in (("crosses", "wide"), ("low rank", "deep")):
        assert excess(found, truth, "wide_deep") < 1.5 * excess(found, truth, part)


def test_table() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(planted.table({"both": Found(0.4, {name: [0.41, 0.43] for name in planted.MODELS})}))
    # 10 and 30 thousandths: mean 20, deviation √(2 · 100) = 14.1.
    assert shown.get().count("20.0 ± 14.1") == 3
