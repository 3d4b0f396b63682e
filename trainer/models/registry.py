"""The registry of models by name. To add a model, write a file beside this one; nothing here changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schema.errors import SpecError, listing, nearest
from trainer.input_columns import InputColumn
from trainer.models.embeddings import tables_on
from trainer.models.joint import Joint
from trainer.params import TrainParams

Builder = Callable[[Sequence[InputColumn], TrainParams, int], Joint]
"""A function that makes a model, with initial weights, from columns, parameters and the number of logits per row. The
model may use only some of the columns."""

_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Registers the decorated builder under a model's name."""

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
    """Checks that there is a model of this name.

    Raises:
        SpecError: there is no such model.
    """
    if name not in _BUILDERS:
        raise SpecError(f"train.model: expected one of {listing(names())}, received {name!r}{nearest(name, names())}")


def build(columns: Sequence[InputColumn], params: TrainParams, units: int = 1) -> Joint:
    """Makes the model that `params.model` names, with initial weights.

    Args:
        columns: the columns of the transformed examples.
        params: the model's parameters.
        units: the number of logits per row.

    Raises:
        SpecError: there is no such model, the model cannot use any of the columns, or it has one logit only and the
            label needs more.
    """
    check(params.model)
    with tables_on("CPU:0" if params.tables == "host" else None):
        return _BUILDERS[params.model](columns, params, units)
