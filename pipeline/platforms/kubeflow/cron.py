"""The times of a schedule: cron's begin with the minute, Kubeflow Pipelines' begin with the second."""

from __future__ import annotations

from schema.errors import RanklineError


def with_seconds(text: str) -> str:
    """Adds the seconds that Kubeflow needs to times such as `0 3 * * *`.

    Kubeflow would read these five fields as seconds to months: a run each hour, at three minutes past.

    Raises:
        RanklineError: `text` has neither five fields nor six.
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
