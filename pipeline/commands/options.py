"""Options that several commands have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schema.finite import FiniteRange

if TYPE_CHECKING:
    from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig

    from pipeline.config.metadata import MetadataStore
    from pipeline.run.layout import Layout

dataset = click.option("--dataset", "-d", help="A name from `rankline datasets`, or a folder.  [default: movielens]")
dataset_or_default = click.option(
    "--dataset", "-d", default="movielens", show_default=True, help="A name from `rankline datasets`, or a folder."
)
model = click.option("--model", "-m", help="The model to train.  [default: wide_deep]")
root = click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), help="The folder of all runs.  [default: runs]"
)
config = click.option("--config", "-c", type=click.Path(path_type=Path), help="A YAML file with a run's configuration.")
settings = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="One key of the configuration, such as train.epochs=3. Repeatable.",
)  # fmt: skip
target = click.option("--target", "-t", default="127.0.0.1:8500", show_default=True, help="The server's gRPC address.")
label = click.option(
    "--label", default="", help="The label of the version to ask, such as stable.  [default: the latest]"
)
span = click.option(
    "--span", help="The last span to read, if data comes in spans: a date or a number.  [default: the latest]"
)
json = click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the numbers to this file.")
page = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Also write an HTML page to this file."
)
share = FiniteRange(0, 1)
positive = FiniteRange(min=0, min_open=True)
port = click.IntRange(0, 65535)
pem = click.Path(path_type=Path, exists=True, dir_okay=False)


def encrypted(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options for TLS. The command gets them as `tls`, which is None without them."""

    @functools.wraps(command)
    def with_tls(ca: Path | None, cert: Path | None, key: Path | None, **others: Any) -> None:
        from serving.channel import Tls

        command(tls=Tls(ca, cert, key) if ca or cert or key else None, **others)

    for option in (
        click.option("--key", type=pem, help="The private key of that certificate (PEM)."),
        click.option("--cert", type=pem, help="The client's certificate (PEM), for servers that verify their clients."),
        click.option("--ca", type=pem, help="Use TLS, and trust these certificate authorities (PEM)."),
    ):
        with_tls = option(with_tls)
    return with_tls


def layout(dataset: str, root: Path | None) -> Layout:
    """The layout of the runs on a dataset."""
    from pipeline.run.layout import Layout
    from schema.dataset import find

    return Layout(root or Path("runs"), find(dataset).name)


def keep(numbers: str, path: Path | None) -> None:
    """Writes numbers or a page to the file that an option names, if any."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(numbers + "\n")


def metadata(root: Path | None, config: Path | None) -> ConnectionConfig:
    """The connection to ML Metadata, which knows past runs."""
    from pipeline.config.metadata import Sqlite
    from pipeline.run.layout import Layout
    from pipeline.run.metadata import connection

    metadata: MetadataStore = Sqlite()
    if config:
        from pipeline.config import run as configuration

        run_config = configuration.load(config, {"root": root}, ())
        metadata, root = run_config.metadata, run_config.root
    return connection(metadata, Layout(root or Path("runs"), "").metadata)
