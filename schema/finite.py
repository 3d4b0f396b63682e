"""Number types for command-line options."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of floats that excludes NaN and infinity. Click accepts NaN in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses the number.

        Raises:
            BadParameter: the value is not a finite number, or it is outside the range.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number
