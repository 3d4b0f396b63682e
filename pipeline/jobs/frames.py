"""A dataset's rows and a run's judged rows as pandas frames, for analyses of one's own."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from components.evaluation import rows
from components.report.document import Report
from components.report.model import Model
from schema.dataset import Dataset
from schema.errors import RanklineError
from schema.feature_spec import SPLITS, FeatureSpec, Split
from schema.splits import read_splits, time_boundaries


def rows_by_split(dataset: Dataset) -> dict[Split, pd.DataFrame]:
    """All rows of a dataset, by the split that a run puts them into.

    Raises:
        DataError: the reader or the splits refuse the data.
    """
    files = [path for of_split in dataset.files.values() for path in of_split]
    batches: dict[Split, list[pa.RecordBatch]] = {split: [] for split in SPLITS}
    for split, batch, _ in read_splits(dataset, time_boundaries(files, dataset.spec)):
        batches[split].append(batch)
    return {
        split: pa.Table.from_batches(found).to_pandas() if found else pd.DataFrame() for split, found in batches.items()
    }


def judged(report: Report) -> pd.DataFrame:
    """The rows of the test split that a run's evaluation kept, with its model's answers.

    Returns:
        The raw columns; `label`; `answer`, the model's probability or number; and `logit of PART` for each part, if the
        model is a sum of parts.

    Raises:
        RanklineError: an artifact of the run is missing.
    """
    spec = FeatureSpec.model_validate_json(report.origin.spec)
    folders = {made.what: made.uri for made in report.origin.artifacts}
    try:
        kept = rows.read(folders["evaluation"], spec)
        model = Model(folders["model"], folders["transform_graph"], spec)
    except OSError as error:
        raise RanklineError(
            f"run {report.run_id}: expected its evaluation and its model, found a part missing: {error}; "
            "`rankline run` makes them anew"
        ) from error
    columns = {**kept.columns, "label": kept.labels, "answer": kept.candidate.values}
    if model.is_told_apart:
        columns |= {f"logit of {part}": logits for part, logits in model.look(kept).parts.items()}
    return pd.DataFrame(columns)
