"""Numbers on a command line."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of floats without NaN, which click finds in every range, and without infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            BadParameter: it is none, or outside of the range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
