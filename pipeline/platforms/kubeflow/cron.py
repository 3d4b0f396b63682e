"""Times of a schedule: people, and cron, begin with the minute, Kubeflow Pipelines begins with the second."""

from __future__ import annotations

from schema.errors import RanklineError


def with_seconds(text: str) -> str:
    """What Kubeflow takes for times such as `0 3 * * *`.

    It would take these five for seconds to months: a run each hour, at three past.

    Raises:
        RanklineError: these are neither five fields nor six.
    """
    fields = text.split()
    if text.startswith("@"):
        return text
    if len(fields) not in (5, 6):
        raise RanklineError(
            "--cron: expected minute, hour, day, month and weekday, such as '0 3 * * *' for three each night, or six "
            f"fields that begin with the second, received {text!r}"
        )
    return " ".join(fields if len(fields) == 6 else ["0", *fields])
