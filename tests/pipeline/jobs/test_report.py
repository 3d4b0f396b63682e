"""Comparisons of two runs by their reports."""

import pytest

from pipeline.jobs.report import compare
from schema.errors import RanklineError


def test_a_report_of_another_version_is_named(tmp_path):
    (tmp_path / "report.json").write_text('{"run_id": "1"}')
    with pytest.raises(RanklineError, match=r"report\.json: expected a report as this version of Rankline writes it"):
        compare(tmp_path, tmp_path)
