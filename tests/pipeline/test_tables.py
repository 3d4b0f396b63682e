from rich.console import Console

from pipeline.live.ranking import RankedItem, RankedList, ranking_table
from pipeline.run.history import Run, runs_table


def shown(table, width: int) -> list[list[str]]:
    """A table's lines, cell by cell."""
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table, soft_wrap=True)
    return [line.split() for line in captured.get().splitlines() if line.strip()]


def test_brackets_in_names_are_no_markup():
    items = (RankedItem("[b]7[/b]", "Alien [director's cut]", 0.98765), RankedItem("8", "[/]", 0.5))
    (title, _, _, first, second) = shown(ranking_table(RankedList("[red]ann", 1234, items)), 100)
    assert title == ["For", "[red]ann,", "the", "best", "of", "1,234"]
    assert first == ["1", "0.988", "[b]7[/b]", "Alien", "[director's", "cut]"]
    assert second == ["2", "0.500", "8", "[/]"]


def test_runs_keep_to_their_lines_on_a_narrow_terminal():
    metrics = {"auc": 0.71234, "logloss": 0.6, "calibration": 1.0}
    runs = [
        Run("20260102T000000.000", "movielens", "wide_deep", metrics, blessed=True, pushed_version="1767312000"),
        Run(
            "20260102T000000.001", "movielens", "wide_deep", {"auc": 0.71234}, blessed=True, unjudged=("auc (4 rows)",)
        ),
        Run("20260101T000000.000", "movielens", "wide_deep", metrics, blessed=False),
        Run("20260101T000000.001", "movielens", "wide_deep", metrics, blessed=True, failed="InfraCheck"),
        Run("20260101T000000.002", "movielens", failed="ExampleGen"),
        Run("20260101T000000.003", "movielens", "wide_deep", unfinished="Trainer"),
    ]
    numbers = ["0.7123", "0.6000", "1.0000"]
    assert shown(runs_table(runs), 60)[2:] == [
        ["20260102T000000.000", "movielens", "wide_deep", *numbers, "yes", "1767312000"],
        ["20260102T000000.001", "movielens", "wide_deep", "0.7123", "unjudged"],
        ["20260101T000000.000", "movielens", "wide_deep", *numbers, "no"],
        ["20260101T000000.001", "movielens", "wide_deep", *numbers, "stopped:", "InfraCheck"],
        ["20260101T000000.002", "movielens", "stopped:", "ExampleGen"],
        ["20260101T000000.003", "movielens", "wide_deep", "unfinished:", "Trainer"],
    ]
