import json

from rich.console import Console

from pipeline.bench.chain import ChainBenchmark, table
from pipeline.terminal.json import as_json

BENCHMARK = ChainBenchmark(
    dataset="toys",
    model="wide",
    cpus=2,
    processor="x86_64",
    rows=1000,
    seconds={"ExampleGen": 2.0, "Trainer": 4.0},
    rows_per_second={"ExampleGen": 500},
    total_seconds=7.0,
    import_seconds=3.0,
    peak_mebibytes=1234,
)


def test_the_table_shows_shares_of_the_whole_and_rates_where_there_are_any():
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(BENCHMARK))
    cells = [line.replace("│", " ").split() for line in captured.get().splitlines()]
    rows = {line[0]: line[1:] for line in cells if line}

    # Of 7 s and 3 s of imports; 1 s is between the components.
    assert rows["imports"] == ["3.0", "30%"]
    assert rows["ExampleGen"] == ["2.0", "20%", "500"]
    assert rows["Trainer"] == ["4.0", "40%"]
    assert rows["all"] == ["10.0", "100"]
    assert rows["peak"] == ["memory", "1,234", "MiB"]


def test_json_holds_all_of_it():
    assert ChainBenchmark(**json.loads(as_json(BENCHMARK))) == BENCHMARK
