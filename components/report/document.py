"""The facts of a report, which are also stored as JSON beside the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from components.evaluation.verdict import Condition, Estimate, Fact, Latency, Metric, Slice
from schema.answers import LabelKind

PAGE_FILE, MARKDOWN_FILE, FACTS_FILE = "report.html", "report.md", "report.json"
"""The files in the report artifact's folder."""

Point = tuple[float, float]


class Verdict(Fact):
    """The verdict on whether the model may be served, and the reasons."""

    blessed: bool
    refusals: Sequence[str]
    unjudged: Sequence[str] = []
    """The metrics that could not be judged, see `Gate`."""
    conditions: Sequence[Condition]
    remarks: Sequence[str]
    """The warnings, which did not refuse the model."""
    pushed: str | None
    """The folder of the pushed version; None if the model was refused."""
    unchanged: bool
    """Whether the model was already the newest version."""


class Served(Fact):
    """The results of the infra check."""

    server: str
    rows: int
    items: int = 0
    """The items that were asked for by their ids, too."""
    largest_difference: float
    load_seconds: float
    latency: Latency
    megabytes: float
    """The size of the SavedModel's files."""


class Split(Fact):
    """A split of the data."""

    name: str
    rows: int
    mean_label: float | None
    """The share of positive rows, or the mean of a number; None for a label of many classes."""


class Column(Fact):
    """A raw column of the train split."""

    name: str
    kind: Literal["number", "text", "list"]
    missing: float
    """The share of rows without a value."""
    unique: int | None
    """The number of different values; None for numbers."""
    summary: str
    """The mean, standard deviation and range of a number, else the most frequent values."""
    histogram: Sequence[float]
    """The shares of values: of numbers in ten bins of equal width, else of the most frequent values."""
    drift: Mapping[str, float]
    """Jensen-Shannon divergences from 0 to 1: by split, between its values and those of the train split, and under
    "span before", between the last two spans."""


class Decile(Fact):
    """A tenth of the rows, in the order of the prediction."""

    predicted: float
    observed: Estimate
    rows: int


class Distribution(Fact):
    """The distribution of the predictions, in bins of equal width."""

    edges: Sequence[float]
    shares: Mapping[str, Sequence[float]]
    """The share of the rows in each bin, by kind of rows."""


class Curves(Fact):
    """The curves behind the metrics."""

    roc: Sequence[Point]
    """Pairs of false and true positive rate; empty unless the rows have both of two classes."""
    precision_recall: Sequence[Point]
    """Pairs of recall and precision; empty like `roc`."""
    positives: float
    """The share of positive rows, which is the precision of chance."""
    calibration: Sequence[Decile]
    calibration_error: float
    """The mean distance between predicted and observed values of the deciles, weighted by the rows' weights."""
    distribution: Distribution


class Vocabulary(Fact):
    """The vocabulary of a column or cross, and the share of values outside it."""

    name: str
    is_cross: bool
    tokens: int
    buckets: int
    """The number of ids for all other values."""
    unknown: Mapping[str, float]
    """The share of the rows with a value that has no id of its own, by split."""
    possible: int | None
    """The number of possible combinations of a cross's values; None for a column."""
    frequent: Sequence[tuple[str, int]]
    """The most frequent tokens, with the number of rows of the train split that have each."""


class Epoch(Fact):
    """A pass over the train split."""

    loss: float
    eval_loss: float
    eval_auc: float | None


class Training(Fact):
    """The training of the model."""

    parameters: int
    rows: int
    best_epoch: int
    seconds: float
    """The time of all epochs."""
    epochs: Sequence[Epoch]


class GroupSize(Fact):
    """The lists of a ranking of similar length."""

    name: str
    groups: int
    rows: int
    metrics: Mapping[str, Estimate]
    coverage: float
    """The share of these lists' items that at least one of the lists shows."""
    novelty: float | None
    """The mean of -log₂ of the shown items' shares of the training rows, in bits; None if these are unknown."""


class Ranking(Fact):
    """The quality of the lists' order, and the coverage and novelty of the items that they show."""

    length: int
    """The number of a list's rows that are shown."""
    sizes: Sequence[GroupSize]
    """All lists together, then the lists by their length."""


class Familiarity(Fact):
    """The metric of the rows whose value of a column was seen about equally often in training."""

    what: str
    seen: str
    rows: int
    metric: Metric


class Part(Fact):
    """A part of the model."""

    name: str
    spread: float
    """The standard deviation of the part's share of the logit."""
    share: float
    """The part's share of the sum of all parts' spreads."""
    metric: float | None
    """The AUC of the part's share of the logit alone; None unless the rows have both of two classes."""


class Weight(Fact):
    """A weight of the wide part."""

    what: str
    token: str
    weight: float
    rows: int
    """The number of rows of the train split that have the token."""


class Contribution(Fact):
    """The contribution of a column or cross to the logit of a row."""

    part: str
    what: str
    value: str
    contribution: float
    weight: float | None
    """The weight in a linear part; None for integrated gradients."""
    rows: int | None
    """The number of rows of the train split that have the value; None for numbers and for values without an id of their
    own."""


class PartOfLogit(Fact):
    """A part's share of a row's logit: its logit of the baseline, the contributions of its columns, and a gap."""

    name: str
    logit: float
    baseline: float
    gap: float
    steps: int
    """The number of steps of integrated gradients; 0 for a linear part, whose contributions are exact."""


class Explained(Fact):
    """The explanation of an item's place in a list."""

    place: int
    item: str
    title: str
    answer: float
    label: str | None
    """The label; None if unknown."""
    logit: float
    """The sum of the parts' shares and the bias."""
    calibrated: float | None
    """The calibrated logit, which the answer is computed from; None if the model is not calibrated."""
    bias: float
    parts: Sequence[PartOfLogit]
    contributions: Sequence[Contribution]
    """The contributions in all parts, the largest first."""


class Explanation(Fact):
    """The explanation of a list's order."""

    column: str
    """The column of the ranking's group."""
    group: str
    rule: str
    """The rule that chose the list; empty if a user asked for this list."""
    label: LabelKind
    candidates: int
    average_rows: int
    """The number of rows of the test split whose mean is the baseline."""
    calibration: str | None
    items: Sequence[Explained]


class ExplainedRanking(Fact):
    """The explanation of a list that a user asked for, and the model that orders it."""

    run_id: str
    dataset: str
    model: str
    explanation: Explanation


class Neighbours(Fact):
    """The items whose embeddings are most similar to an item's."""

    item: str
    rows: int
    near: Sequence[tuple[str, float]]
    """Other items with their cosine similarity, the most similar first."""


class Place(Fact):
    """An item on the map."""

    name: str
    x: float
    y: float
    rows: int


class Map(Fact):
    """Items by the first two principal components of their embeddings."""

    places: Sequence[Place]
    explained: float
    """The share of the variance that the two components explain."""


class Error(Fact):
    """A row on which the model was confident and wrong."""

    label: str
    answer: float
    loss: float
    values: Mapping[str, str]


class Difference(Fact):
    """The differences between two models' answers to the same rows."""

    mean_change: float
    """The mean absolute difference of the answers."""
    flipped: float | None
    """The share of the rows whose likeliest class differs; None for numbers."""
    correlation: float | None
    """The rank correlation of the answers (Spearman); None if all answers of a model are equal."""
    overlap: float | None
    """The mean share of a list's first ten rows that both models have in common; None without a ranking."""
    wins: Sequence[str]
    """The slices that improved by more than chance."""
    losses: Sequence[str]
    """The slices that got worse by more than chance."""


class Made(Fact):
    """An artifact of the run."""

    what: str
    id: int
    uri: str
    notes: str = ""


class Origin(Fact):
    """The inputs, code and library versions that reproduce the run."""

    artifacts: Sequence[Made]
    spec: str
    """The resolved feature spec, as JSON."""
    config: str
    """The run's configuration, as YAML."""
    command: str
    data_digest: str
    code: str
    """A digest of Rankline's sources."""
    versions: Mapping[str, str]


class Report(Fact):
    """The facts about a run and its model."""

    run_id: str
    dataset: str
    description: str
    model: str
    label: LabelKind
    unit: str
    """The unit of resampling for intervals: `rows`, or the column of the ranking's groups."""
    kept_rows: int
    """The number of kept rows of the test split, on which everything but the metrics' values is computed."""
    verdict: Verdict
    served: Served | None
    splits: Sequence[Split]
    columns: Sequence[Column]
    span: str
    """The last span of the data; empty for data without spans."""
    warnings: Sequence[str]
    """Problems in the data that did not stop the run."""
    metrics: Sequence[Metric]
    slices: Sequence[Slice]
    more_slices: int
    """The number of slices that were left out."""
    comparison: Difference | None
    """The comparison with the last blessed model; None if there was none."""
    curves: Curves
    vocabularies: Sequence[Vocabulary]
    training: Training
    ranking: Ranking | None
    familiarity: Sequence[Familiarity]
    parts: Sequence[Part]
    weights: Sequence[Weight]
    explanation: Explanation | None = None
    """The explanation of one list of the test split; None without a ranking, for a model without attributions, and in
    reports of older versions."""
    neighbours: Sequence[Neighbours]
    map: Map | None
    errors: Sequence[Error]
    origin: Origin


class Compared(Fact):
    """The comparison of two runs on the same rows."""

    run_ids: tuple[str, str]
    """The baseline's run, then the candidate's."""
    dataset: str
    models: tuple[str, str]
    unit: str
    """The unit of resampling, see `Report`."""
    rows: int
    """The number of rows that both runs have kept."""
    metrics: Sequence[Metric]
    slices: Sequence[Slice]
    comparison: Difference
