import pytest

from pipeline.platforms.kubeflow.cron import with_seconds
from schema.errors import RanklineError


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 3 * * *", "0 0 3 * * *"),
        (" 0  3 * * * ", "0 0 3 * * *"),
        ("30 0 3 * * MON", "30 0 3 * * MON"),
        ("@daily", "@daily"),
    ],
)
def test_a_cron_begins_with_seconds_also_where_none_were_given(text, cron):
    assert with_seconds(text) == cron


@pytest.mark.parametrize("text", ["", "3", "0 3 * *", "0 0 0 3 * * *"])
def test_a_cron_has_five_or_six_fields(text):
    with pytest.raises(RanklineError, match="--cron: expected minute, hour, day, month and weekday, such as '0 3 "):
        with_seconds(text)
