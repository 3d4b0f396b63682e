"""A report of a small ranking's run, made without the run."""

from __future__ import annotations

import pytest

from components.evaluation import bootstrap
from components.evaluation.verdict import Condition, Estimate, Metric, Slice
from components.report import curves
from components.report.document import (
    Column,
    Contribution,
    Difference,
    Epoch,
    Error,
    Explained,
    Explanation,
    Familiarity,
    GroupSize,
    Made,
    Map,
    Neighbours,
    Origin,
    Part,
    PartOfLogit,
    Place,
    Ranking,
    Report,
    Split,
    Training,
    Verdict,
    Vocabulary,
    Weight,
)

NO_HTML = "<i>x</i> × y"


@pytest.fixture
def report(make_rows) -> Report:
    """With names that are no HTML and no Markdown, as a stranger's columns may be called."""
    rows = make_rows()
    change = Estimate(value=0.03, interval=(0.01, 0.05))
    auc = Metric(
        name="auc", better="higher", estimate=Estimate(value=0.71, interval=(0.69, 0.73)), baseline=0.68, change=change
    )
    loss = Metric(name="logloss", better="lower", estimate=Estimate(value=0.61))
    return Report(
        run_id="20260101T000000.000",
        dataset="<b>shop</b>",
        description="Clicks & more",
        model="wide_deep",
        label="binary",
        unit="user",
        kept_rows=len(rows),
        verdict=Verdict(
            blessed=False,
            refusals=["auc: expected at least 0.99, received 0.7100"],
            conditions=[
                Condition(what="auc", expected="at least 0.99", received=0.71, interval=(0.69, 0.73), room=-0.28,
                          outcome="broken", reason="auc: expected at least 0.99, received 0.7100"),
                Condition(what="auc of city = <i>a|b</i>", expected="at least 0.7", outcome="not judged",
                          reason="not judged: 40 rows of 100"),
            ],
            remarks=["not judged: auc of city = <i>a|b</i> (40 rows of 100)"],
            pushed=None,
            unchanged=False,
        ),
        served=None,
        splits=[Split(name="train", rows=800, mean_label=0.5), Split(name="test", rows=400, mean_label=0.5)],
        span="2026-01-01",
        warnings=["<script>alert(1)</script>"],
        columns=[
            Column(
                name="<script>alert(2)</script>", kind="text", missing=0.25, unique=2, summary='"a" 60%, <b> 40%',
                histogram=[0.6, 0.4], drift={"test": 0.3},
            )
        ],
        metrics=[auc, loss],
        slices=[Slice(name="city = a|b", rows=40, groups=3, metrics=[auc, loss], few=True)],
        more_slices=0,
        comparison=Difference(
            mean_change=0.1, flipped=0.05, correlation=0.9, overlap=0.8, wins=["city = a|b"], losses=[]
        ),
        curves=curves.curves(rows, bootstrap.counts(rows)),
        vocabularies=[
            Vocabulary(
                name="a_x_b", is_cross=True, tokens=3, buckets=1, unknown={"train": 0.1}, possible=4,
                frequent=[("<i>x</i> × y", 7)],
            )
        ],
        training=Training(
            parameters=10, rows=800, best_epoch=1, seconds=2.5,
            epochs=[Epoch(loss=0.7, eval_loss=0.69, eval_auc=0.6), Epoch(loss=0.6, eval_loss=0.7, eval_auc=0.59)],
        ),
        ranking=Ranking(
            length=10,
            sizes=[
                GroupSize(name=name, groups=20, rows=400, metrics={"gauc": Estimate(value=0.6)}, coverage=0.5,
                          novelty=None)
                for name in ("all", "10 to 29 rows")
            ],
        ),
        familiarity=[Familiarity(what="user", seen="in up to 99 rows", rows=100, metric=auc)],
        parts=[Part(name="wide", spread=0.2, share=1, metric=0.6)],
        weights=[Weight(what="a_x_b", token=NO_HTML, weight=-0.5, rows=7)],
        explanation=Explanation(
            column="user", group="<b>ann</b>", rule="a rule", label="binary", candidates=20, average_rows=400,
            calibration="platt",
            items=[
                Explained(
                    place=1, item="7", title="$m$ & co", answer=0.75, label="1", logit=1.25, calibrated=1.1, bias=0.25,
                    parts=[
                        PartOfLogit(name="wide", logit=-0.5, baseline=0, gap=0, steps=0),
                        PartOfLogit(name="deep", logit=1.5, baseline=0.5, gap=0.001, steps=32),
                    ],
                    contributions=[
                        Contribution(
                            part="deep", what="user", value="<b>ann</b>", contribution=0.999, weight=None, rows=7
                        ),
                        Contribution(
                            part="wide", what="a_x_b", value=NO_HTML, contribution=-0.5, weight=-0.5, rows=0
                        ),
                    ],
                )
            ],
        ),
        neighbours=[Neighbours(item="$m$ & co", rows=9, near=[("other", 0.9)])],
        map=Map(
            places=[Place(name="$m$ & co", x=0.1, y=0.2, rows=9), Place(name="o", x=0.3, y=0, rows=3)], explained=0.4
        ),
        errors=[Error(label="1", answer=0.01, loss=4.6, values={"title": "<i>x</i>", "empty": ""})],
        origin=Origin(
            artifacts=[Made(what="model", id=7, uri="/runs/<model>/7")], spec="{}", config="train: {epochs: 3}\n",
            command="rankline run --config run.yaml", data_digest="d" * 64, code="c" * 16,
            versions={"rankline": "0.1.0"},
        ),
    )  # fmt: skip
