"""What a report says, before it has a form; kept as JSON beside the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from components.evaluation.verdict import Condition, Estimate, Fact, Latency, Metric, Slice
from schema.answers import LabelKind

PAGE_FILE, MARKDOWN_FILE, FACTS_FILE = "report.html", "report.md", "report.json"
"""In the report artifact's folder."""

Point = tuple[float, float]


class Verdict(Fact):
    """Whether the model may be served, and why."""

    blessed: bool
    refusals: Sequence[str]
    unjudged: Sequence[str] = []
    """See `Gate`."""
    conditions: Sequence[Condition]
    remarks: Sequence[str]
    """What is to be known of it, but has not refused the model."""
    pushed: str | None
    """The version's folder."""
    unchanged: bool
    """Whether that version was being served already."""


class Served(Fact):
    """What the infra check found."""

    server: str
    rows: int
    items: int = 0
    """The items that were asked for by their ids, too."""
    largest_difference: float
    load_seconds: float
    latency: Latency
    megabytes: float
    """Of the SavedModel's files."""


class Split(Fact):
    """A part of the data."""

    name: str
    rows: int
    mean_label: float | None
    """The share of positive rows, or the mean; None for a label of many classes."""


class Column(Fact):
    """A raw column of the train split."""

    name: str
    kind: Literal["number", "text", "list"]
    missing: float
    """Share of the rows."""
    unique: int | None
    """None for numbers."""
    summary: str
    """Mean and deviation, or the most frequent values."""
    histogram: Sequence[float]
    """Shares by value: of numbers in ten bins of equal width, of others the most frequent values."""
    drift: Mapping[str, float]
    """Another split -> how far its values are from those of the train split, and "span before" -> how far the last
    span's are from those of the one before, as Jensen-Shannon divergences from 0 to 1."""


class Decile(Fact):
    """A tenth of the rows, by what was predicted."""

    predicted: float
    observed: Estimate
    rows: int


class Distribution(Fact):
    """How predictions are spread, in bins of equal width."""

    edges: Sequence[float]
    shares: Mapping[str, Sequence[float]]
    """Kind of rows -> their share in each bin."""


class Curves(Fact):
    """What lies behind the metrics."""

    roc: Sequence[Point]
    """False positive rate, true positive rate; empty where a label has not two classes."""
    precision_recall: Sequence[Point]
    """Recall, precision."""
    positives: float
    """Their share: the precision of chance."""
    calibration: Sequence[Decile]
    calibration_error: float
    """The mean distance between predicted and observed, over all rows."""
    distribution: Distribution


class Vocabulary(Fact):
    """The ids of a column or cross, and how many of its values they are for."""

    name: str
    is_cross: bool
    tokens: int
    buckets: int
    """For all other values."""
    unknown: Mapping[str, float]
    """Split -> share of the rows with a value that has no id of its own."""
    possible: int | None
    """Of a cross: how many combinations its values would have."""
    frequent: Sequence[tuple[str, int]]
    """The tokens in most rows of the train split, with how many these are."""


class Epoch(Fact):
    """A pass over the train split."""

    loss: float
    eval_loss: float
    eval_auc: float | None


class Training(Fact):
    """How the model became what it is."""

    parameters: int
    rows: int
    best_epoch: int
    seconds: float
    """Of all epochs."""
    epochs: Sequence[Epoch]


class GroupSize(Fact):
    """The lists of a ranking that are about as long."""

    name: str
    groups: int
    rows: int
    metrics: Mapping[str, Estimate]
    coverage: float
    """Share of these lists' items that some list shows."""
    novelty: float | None
    """The mean of -log₂ of the shown items' shares of the training rows, in bits; None where these are not known."""


class Ranking(Fact):
    """How well lists are ordered, and what they show."""

    length: int
    """How many of a list's rows are shown."""
    sizes: Sequence[GroupSize]
    """All lists first, then by their length."""


class Familiarity(Fact):
    """Rows whose value of a column was about as often seen in training."""

    what: str
    seen: str
    rows: int
    metric: Metric


class Part(Fact):
    """A part of the model alone."""

    name: str
    spread: float
    """Standard deviation of its share of the logit."""
    share: float
    """Of the spread of all parts."""
    metric: float | None
    """The AUC of its share alone; None where a label has not two classes."""


class Weight(Fact):
    """A weight of the wide part."""

    what: str
    token: str
    weight: float
    rows: int
    """Of the train split, that have it."""


class Contribution(Fact):
    """What a column or cross adds to the logit of a row."""

    part: str
    what: str
    value: str
    contribution: float
    weight: float | None
    """Of a linear part; None where gradients are integrated."""
    rows: int | None
    """Of the train split, that have the value; None for numbers, and values without an id of their own."""


class PartOfLogit(Fact):
    """A part's share of a row's logit: what it says of an average row, the contributions of its columns, and a gap."""

    name: str
    logit: float
    baseline: float
    gap: float
    steps: int
    """Of integrated gradients; 0 for a linear part, which is told exactly."""


class Explained(Fact):
    """Why an item has its place."""

    place: int
    item: str
    title: str
    answer: float
    label: str | None
    """None where it is not known."""
    logit: float
    """Of the parts and the bias."""
    calibrated: float | None
    """The logit that the answer is of, where the model was calibrated."""
    bias: float
    parts: Sequence[PartOfLogit]
    contributions: Sequence[Contribution]
    """Of all parts, the largest first."""


class Explanation(Fact):
    """Why a list is ordered as it is."""

    column: str
    """The ranking's group."""
    group: str
    rule: str
    """How the list was chosen; empty where someone asked for it."""
    label: LabelKind
    candidates: int
    average_rows: int
    """Of the test split, whose mean is the baseline."""
    calibration: str | None
    items: Sequence[Explained]


class ExplainedRanking(Fact):
    """A list that someone has asked about, and the model that orders it so."""

    run_id: str
    dataset: str
    model: str
    explanation: Explanation


class Neighbours(Fact):
    """What the model has learned to be like an item."""

    item: str
    rows: int
    near: Sequence[tuple[str, float]]
    """Other items with the cosine of the angle between the embeddings, the nearest first."""


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
    """Share of the variance that can be seen."""


class Error(Fact):
    """A row of which the model was sure, and wrong."""

    label: str
    answer: float
    loss: float
    values: Mapping[str, str]


class Difference(Fact):
    """How differently two models answer the same rows."""

    mean_change: float
    """Of the answers, without its sign."""
    flipped: float | None
    """Share of the rows whose likelier class is another one; None for numbers."""
    correlation: float | None
    """Of the ranks of the answers (Spearman); None where all answers of a model are the same."""
    overlap: float | None
    """Share of the first ten of a list that are the same, on average; None without a ranking."""
    wins: Sequence[str]
    """Slices that are better by more than chance."""
    losses: Sequence[str]
    """Slices that are worse by more than chance."""


class Made(Fact):
    """An artifact that the model comes from, or that came of it."""

    what: str
    id: int
    uri: str
    notes: str = ""


class Origin(Fact):
    """What would have to be the same to get the same again."""

    artifacts: Sequence[Made]
    spec: str
    """The resolved feature spec, as JSON."""
    config: str
    """Of the run, as YAML."""
    command: str
    data_digest: str
    code: str
    """A digest of Rankline's sources."""
    versions: Mapping[str, str]


class Report(Fact):
    """All that is known of a run and its model."""

    run_id: str
    dataset: str
    description: str
    model: str
    label: LabelKind
    unit: str
    """What is resampled for intervals: rows, or the column of the ranking's groups."""
    kept_rows: int
    """Of the test split, which all but the metrics' values are about."""
    verdict: Verdict
    served: Served | None
    splits: Sequence[Split]
    columns: Sequence[Column]
    span: str
    """The last one that the data is of; empty for data that does not come in spans."""
    warnings: Sequence[str]
    """What is wrong with the data, and was let pass."""
    metrics: Sequence[Metric]
    slices: Sequence[Slice]
    more_slices: int
    """How many were left out."""
    comparison: Difference | None
    """With the model that was the last blessed one."""
    curves: Curves
    vocabularies: Sequence[Vocabulary]
    training: Training
    ranking: Ranking | None
    familiarity: Sequence[Familiarity]
    parts: Sequence[Part]
    weights: Sequence[Weight]
    explanation: Explanation | None = None
    """Of one list of the test split; None without a ranking, for a model that cannot be told apart, and in reports that
    were written before there was such a thing."""
    neighbours: Sequence[Neighbours]
    map: Map | None
    errors: Sequence[Error]
    origin: Origin


class Compared(Fact):
    """What is known of two runs that were judged on the same rows."""

    run_ids: tuple[str, str]
    """The one that it is compared with, then the one that is compared."""
    dataset: str
    models: tuple[str, str]
    unit: str
    """See `Report`."""
    rows: int
    """That both have kept."""
    metrics: Sequence[Metric]
    slices: Sequence[Slice]
    comparison: Difference
