"""Models by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schema.errors import SpecError, listing, nearest
from trainer.input_columns import InputColumn
from trainer.models.embeddings import tables_on
from trainer.models.joint import Joint
from trainer.params import TrainParams

Builder = Callable[[Sequence[InputColumn], TrainParams, int], Joint]
"""Makes a model, with initial weights and so many logits per row, for some or all of the columns."""

_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorates a model's builder with its name."""

    def decorate(builder: Builder) -> Builder:
        if name in _BUILDERS:
            raise ValueError(f"expected names of models that differ, received {name!r} twice")
        _BUILDERS[name] = builder
        return builder

    return decorate


def names() -> list[str]:
    """The names of all models."""
    return sorted(_BUILDERS)


def check(name: str) -> None:
    """Says whether there is a model of that name, before anything is done for it.

    Raises:
        SpecError: there is none.
    """
    if name not in _BUILDERS:
        raise SpecError(f"train.model: expected one of {listing(names())}, received {name!r}{nearest(name, names())}")


def build(columns: Sequence[InputColumn], params: TrainParams, units: int = 1) -> Joint:
    """The model that `params.model` names, with initial weights.

    Args:
        columns: of the transformed examples.
        params: of the model.
        units: logits per row.

    Raises:
        SpecError: there is no such model, or no column that it could use, or it has one logit only.
    """
    check(params.model)
    with tables_on("CPU:0" if params.tables == "host" else None):
        return _BUILDERS[params.model](columns, params, units)
