"""Census-Income (KDD): fetched, read and split."""

import pyarrow as pa
import pyarrow.compute as pc

from schema.feature_spec import Categorical, Numeric


def test_the_original_split(census):
    train, evaluation, test = (census.splits[name] for name in ("train", "eval", "test"))

    assert len(train) + len(evaluation) == 199_523
    assert len(test) == 99_762
    assert abs(len(evaluation) / 199_523 - 0.1) < 0.006  # many rows are equal, and equal rows stay together
    assert pc.sum(train["_label"]).as_py() + pc.sum(evaluation["_label"]).as_py() == 12_382  # 6.2 %
    assert pc.sum(test["_label"]).as_py() == 6_186  # 6.2 %


def test_its_features(census):
    features = census.dataset.spec.features.values()

    # Of the data's 33 categorical and 7 numeric columns, with four of the latter as tokens.
    assert sum(isinstance(feature, Categorical) for feature in features) == 37
    assert sum(isinstance(feature, Numeric) for feature in features) == 3
    assert "instance_weight" not in census.dataset.spec.columns
    assert census.dataset.spec.weight is None


def test_spaces_and_question_marks(census):
    rows = pa.concat_tables(census.splits.values())

    # 1995's rows have "?" for migration: 99,696 of the train file and 49,946 of the test file.
    assert rows["migration_msa"].null_count == 149_642
    assert "NA" in pc.unique(rows["hispanic_origin"]).to_pylist()
    for name, kind in census.dataset.spec.columns.items():
        if kind == "string":
            texts = pc.unique(rows[name]).drop_null()
            assert pc.all(pc.equal(texts, pc.utf8_trim_whitespace(texts))).as_py(), name


def test_equal_rows_are_in_one_split(census):
    """Train and eval share a file: a row that is in both would let a model look up answers."""
    names = census.splits["train"].column_names
    train, evaluation = (census.splits[name].select(names).to_pandas() for name in ("train", "eval"))

    assert len(evaluation.drop_duplicates().merge(train.drop_duplicates(), on=names)) == 0


def test_its_schema_holds(census, schema_holds):
    schema_holds(census)
