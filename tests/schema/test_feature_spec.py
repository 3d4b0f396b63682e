"""The feature language: defaults, completion from the columns of files, and one clear line per mistake."""

import json
import math
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import SpecError
from schema.feature_spec import (
    Categorical,
    FeatureSpec,
    Multivalent,
    Numeric,
    TimeSplits,
    embedding_width,
    load,
)

COLUMNS = {
    "clicked": "integer",
    "user_id": "integer",
    "age": "integer",
    "price": "float",
    "city": "string",
    "genres": "string",
    "tags": "strings",
    "time": "integer",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "features.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def mistakes(folder: Path, text: str, columns: dict[str, str] | None = None) -> list[str]:
    """The lines of the error, without the file's name that each begins with."""
    path = written(folder, text)
    with pytest.raises(SpecError) as caught:
        load(path).resolve(columns or COLUMNS, path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_a_label_is_a_whole_spec(tmp_path):
    spec = load(written(tmp_path, "label: clicked")).resolve(COLUMNS)

    assert spec.name == tmp_path.name
    assert spec.features == {
        "user_id": Categorical(),
        "age": Numeric(),
        "price": Numeric(),
        "city": Categorical(),
        "genres": Categorical(),
        "tags": Multivalent(),
        "time": Numeric(),
    }
    assert spec.columns == {
        "user_id": "integer",
        "age": "float",
        "price": "float",
        "city": "string",
        "genres": "string",
        "tags": "strings",
        "time": "float",
    }
    assert spec.splits.by == "random"
    assert spec.splits.fractions == {"train": 0.8, "eval": 0.1, "test": 0.1}


FULL = """
    description: everything that the language can say
    source: {files: clicks/*.csv, format: csv, delimiter: ";", null_values: ["", "?"]}
    label: {column: rating, positive: ">= 4"}
    weight: w
    ignore: [noise]
    columns: {zip: string}
    ranking: {group: user, item: movie, item_columns: [movie, genres, title], title: title}
    splits: {by: time, column: at, fractions: {train: 0.7, eval: 0.2, test: 0.1}}
    features:
      age: {type: numeric, log1p: true, scale: min_max, buckets: 5, missing_indicator: true, max_missing: 0.5}
      last: {shares: movie}
      movie: {vocabulary: {min_count: 2, top_k: 100}, oov_buckets: 3, embedding: 8}
      genres: {type: multivalent, separator: "|", combiner: sqrtn, hash_buckets: 50}
      yes: numeric
    crosses:
      - {columns: [user, genres], hash_buckets: 1000, combiner: mean}
      - {name: who, columns: [age, zip, user], vocabulary: {min_count: 5}}
    slices: [zip, [user, zip]]
"""
FULL_COLUMNS = {
    "rating": "float",
    "w": "float",
    "noise": "float",
    "zip": "integer",
    "user": "string",
    "movie": "integer",
    "last": "integer",
    "genres": "string",
    "title": "string",
    "at": "integer",
    "age": "integer",
    "yes": "integer",
}


def test_the_whole_language_and_its_journey_as_json(tmp_path):
    spec = load(written(tmp_path, FULL))
    resolved = spec.resolve(FULL_COLUMNS)

    assert resolved.label.rule == (">=", 4.0)
    assert list(resolved.features) == ["age", "last", "movie", "genres", "yes", "zip", "user"]
    assert resolved.columns == {
        "age": "float",
        "last": "integer",
        "movie": "integer",
        "genres": "strings",
        "yes": "float",
        "zip": "string",  # as said, whatever the file holds
        "user": "string",
        "title": "string",  # no feature, but shown in rankings
        "at": "integer",  # no feature, but what the split goes by
    }
    assert list(resolved.input_columns) == list(resolved.features)
    assert [cross.name for cross in resolved.crosses] == ["user_x_genres", "who"]
    assert [resolved.is_multivalent(cross) for cross in resolved.crosses] == [True, False]
    assert resolved.slices == (("zip",), ("user", "zip"))
    assert resolved.base("last") == resolved.features["movie"]
    assert resolved.base("movie") == resolved.features["movie"]

    assert FeatureSpec.model_validate_json(spec.model_dump_json()) == spec
    assert FeatureSpec.model_validate_json(resolved.model_dump_json()) == resolved
    assert resolved.resolve(FULL_COLUMNS) == resolved


def test_an_ignored_column_can_still_be_the_group_of_a_ranking(tmp_path):
    text = """
        label: clicked
        ignore: [user_id, time]
        ranking: {group: user_id, item: city}
    """
    spec = load(written(tmp_path, text)).resolve(COLUMNS)

    assert "user_id" not in spec.features
    assert spec.columns["user_id"] == "integer"
    assert "time" not in spec.columns


def test_dates_bound_splits_as_seconds(tmp_path):
    text = """
        label: clicked
        splits: {by: time, column: time, boundaries: [1970-01-02, 1970-01-03 00:00:01]}
    """
    spec = load(written(tmp_path, text))

    assert isinstance(spec.splits, TimeSplits)
    assert spec.splits.boundaries == (86400.0, 172801.0)


def test_a_description_runs_no_code(tmp_path):
    """YAML's tags can name any Python function; ours are plain values."""
    path = written(tmp_path, f"label: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    with pytest.raises(SpecError, match=r"line 1: could not determine a constructor for the tag .*os\.mkdir"):
        load(path)
    assert not (tmp_path / "made").exists()


def test_files_per_split_are_given_splits(tmp_path):
    spec = load(written(tmp_path, "{label: y, source: {files: {train: a.csv, test: b.csv}}}"))

    assert spec.splits.by == "given"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "labl: clicked",
            [
                "labl: expected one of the keys name, description, source, label, other_labels, weight, ignore, "
                "columns, times, by_default, ranking, splits, features, crosses, slices, received 'labl'; "
                "did you mean 'label'?"
            ],
        ),
        ("description: nothing", ["label: expected a value, received none"]),
        (
            "{label: clicked, name: 'clicks [v1]'}",
            [
                "name: expected a name without / \\ * ? [ ] and without a dot in front, received 'clicks [v1]'",
            ],
        ),
        *(
            (
                f"{{label: clicked, name: {json.dumps(name)}}}",
                [f"name: expected a name without / \\ * ? [ ] and without a dot in front, received {name!r}"],
            )
            for name in ("..", "../other", "/etc", ".hidden", "two\nlines", "zero\0")
        ),
        *(
            (
                f"{{label: clicked, source: {{fetch: {path}}}}}",
                [f"source.fetch: expected a Python file in the dataset's folder, received {path!r}"],
            )
            for path in ("/tmp/source.py", "../source.py", "code/../../source.py")  # noqa: S108
        ),
        ("label: [clicked]", ["label: expected keys and values, received ['clicked']"]),
        ("label: 0", ["label: expected a column's name, with quotes where it is a number, such as \"0\", received 0"]),
        ("label: clickd", ["label.column: expected a column of the data (clicked, user_id, age, price, "
          "city, genres, tags, time), received 'clickd'; did you mean 'clicked'?"]),
        (
            "{label: clicked, features: {age: numerc}}",
            ["features.age.type: expected one of categorical, multivalent, numeric, received 'numerc'; "
             "did you mean 'numeric'?"],
        ),
        ("{label: clicked, features: {age: 3}}", ["features.age: expected keys and values, received 3"]),
        (
            "{label: clicked, features: {age: {type: numeric, bukets: 4}}}",
            ["features.age.bukets: expected one of the keys max_missing, parts, type, log1p, scale, buckets, "
             "missing_indicator, received 'bukets'; did you mean 'buckets'?"],
        ),
        (
            "{label: clicked, features: {age: {type: numeric, buckets: 0}}}",
            ["features.age.buckets: expected a number of at least 2, received 0"],
        ),
        (
            "{label: clicked, features: {age: {type: numeric, buckets: many}}}",
            ["features.age.buckets: expected a whole number, received 'many'"],
        ),
        (
            "{label: clicked, features: {age: {type: numeric, log1p: perhaps}}}",
            ["features.age.log1p: expected true or false, received 'perhaps'"],
        ),
        (
            "{label: clicked, features: {city: {vocabulary: {min_cont: 2}}}}",
            ["features.city.vocabulary.min_cont: expected one of the keys min_count, top_k, received 'min_cont'; "
             "did you mean 'min_count'?"],
        ),
        (
            "{label: clicked, features: {city: {max_missing: 1.5, parts: []}}}",
            ["features.city.max_missing: expected a number of at most 1, received 1.5",
             "features.city.parts: expected 1 or more entries, received []"],
        ),
        (
            "{label: clicked, features: {city: {hash_buckets: 10, vocabulary: {min_count: 3}}}}",
            ["features.city: expected hash_buckets or a vocabulary, received hash_buckets and vocabulary"],
        ),
        (
            "{label: clicked, features: {ctiy: categorical, price: numeric, agee: numeric}}",
            [
                "features: expected a column of the data (clicked, user_id, age, price, city, genres, tags, time), "
                "received 'ctiy'; did you mean 'city'?",
                "features: expected a column of the data (clicked, user_id, age, price, city, genres, tags, time), "
                "received 'agee'; did you mean 'age'?",
            ],
        ),
        (
            "{label: clicked, features: {tags: numeric, genres: multivalent, price: categorical}}",
            [
                "features.tags: expected numbers in a numeric feature's column, received strings",
                "features.genres: expected lists of strings or integers in a multi-valent feature's column, received "
                "string; for strings with several tokens in them say 'separator'",
                "features.price: expected strings or whole numbers in a categorical feature's column, received "
                "float; for buckets of a quantity say numeric with 'buckets'",
            ],
        ),
        (
            "{label: clicked, features: {age: {type: multivalent, separator: ','}}}",
            ["features.age: expected a column of strings to split at the separator, received integer"],
        ),
        ("{label: clicked, features: {clicked: numeric}}",
         ["label.column: expected a column that is no feature, received the feature 'clicked'"]),
        ("{label: clicked, weight: age, features: {age: numeric}}",
         ["weight: expected a column that is no feature, received the feature 'age'"]),
        ("{label: clicked, weight: clicked}",
         ["weight: expected another column than the label, received 'clicked'"]),
        ("{label: clicked, slices: [clicked]}",
         ["slices[0]: expected another column than label.column, received 'clicked'"]),
        ("{label: clicked, ignore: [city], features: {city: }}",
         ["ignore: expected columns that are no features, received the feature 'city'"]),
        ("{label: clicked, ignore: [user_id, age, price, city, genres, tags, time]}",
         ["features: expected at least one column that is not the label or ignored"]),
        (
            "{label: clicked, crosses: [{columns: [city, ctiy]}]}",
            ["crosses[0].columns: expected features (user_id, age, price, city, genres, tags, time), "
             "received 'ctiy'; did you mean 'city'?"],
        ),
        (
            "{label: clicked, ignore: [city], crosses: [{columns: [user_id, city]}]}",
            ["crosses[0].columns: expected features (user_id, age, price, genres, tags, time), received 'city'"],
        ),
        (
            "{label: clicked, crosses: [{columns: [city, price]}]}",
            ["crosses[0].columns: expected a numeric feature with 'buckets' to cross by, received 'price' without"],
        ),
        ("{label: clicked, crosses: [{columns: [city]}]}",
         ["crosses[0].columns: expected 2 or more entries, received ['city']"]),
        ("{label: clicked, crosses: [{columns: [city, city]}]}",
         ["crosses[0]: expected columns that differ, received 'city' twice"]),
        ("{label: clicked, crosses: [city]}", ["crosses[0]: expected keys and values, received 'city'"]),
        (
            "{label: clicked, crosses: [{columns: [city, user_id]}, {columns: [city, user_id]}]}",
            ["crosses[1].name: expected names that differ from each other, received 'city_x_user_id' twice"],
        ),
        (
            "{label: clicked, features: {age: {type: numeric, missing_indicator: true}}, "
            "crosses: [{name: age_missing, columns: [city, user_id]}]}",
            ["features.age: expected names that differ from each other, received 'age_missing' twice"],
        ),
        ("{label: clicked, features: {_city: categorical}}",
         ["features: expected no leading underscore, which marks Rankline's own names, received '_city'; "
          "rename the column"]),
        (
            "{label: clicked, features: {city: {shares: genre}, genres: }}",
            ["features.city.shares: expected another feature, received 'genre'; did you mean 'genres'?"],
        ),
        (
            "{label: clicked, features: {city: {shares: genres, oov_buckets: 2}, genres: }}",
            ["features.city: expected 'shares' alone, since 'genres' decides the rest, received also oov_buckets"],
        ),
        (
            "{label: clicked, features: {city: {shares: age}, age: numeric}}",
            ["features.city.shares: expected a categorical or multi-valent feature with a vocabulary of its own, "
             "received 'age'"],
        ),
        ("{label: {column: clicked, positive: about 4}}",
         ["label.positive: expected a rule such as '>= 4' or '== yes', or a list of values that are all texts or all "
          "numbers, received 'about 4'"]),
        ("{label: {column: clicked, positive: '>= 4', number: true}}",
         ["label: expected one of positive, classes and number, received positive, number"]),
        ("{label: {column: clicked, classes: 1}}",
         ["label.classes: expected a number of classes, or a list of different values that are all texts or all "
          "numbers, received 1"]),
        ("{label: {column: clicked, classes: [1, 1]}}",
         ["label.classes: expected a number of classes, or a list of different values that are all texts or all "
          "numbers, received [1, 1]"]),
        ("{label: clicked, other_labels: {bought: {column: price, number: true}}}",
         ["other_labels.bought: expected this and the first label to have two classes, received number beside binary"]),
        ("{label: {column: clicked, classes: 3}, other_labels: {bought: price}}",
         ["other_labels.bought: expected this and the first label to have two classes, received binary "
          "beside classes"]),
        ("{label: clicked, other_labels: {Was bought: price}}",
         ["other_labels: expected a name of small letters, digits and _, received 'Was bought'"]),
        ("{label: clicked, other_labels: {bought: age}, features: {age: numeric}}",
         ["other_labels.bought.column: expected a column that is no feature, received the feature 'age'"]),
        ("{label: clicked, other_labels: {bought: prise}}",
         ["other_labels.bought.column: expected a column of the data (clicked, user_id, age, price, city, genres, "
          "tags, time), received 'prise'; did you mean 'price'?"]),
        ("{label: {column: clicked, positive: [[4]]}}",
         ["label.positive: expected a rule such as '>= 4' or '== yes', or a list of values that are all texts or all "
          "numbers, received [[4]]"]),
        ("{label: clicked, columns: {age: int}}",
         ["columns.age: expected one of string, integer, float, strings, integers, floats, received 'int'; "
          "did you mean 'integer'?"]),
        ("{label: clicked, slices: [price]}",
         ["slices[0]: expected columns of strings or integers, received numbers in 'price'"]),
        ("{label: clicked, slices: 3}", ["slices: expected a list, received 3"]),
        ("{label: clicked, splits: {by: tiem, column: time}}",
         ["splits.by: expected one of random, time, given, received 'tiem'; did you mean 'time'?"]),
        ("{label: clicked, splits: {by: time}}", ["splits.column: expected a value, received none"]),
        ("{label: clicked, splits: {by: time, column: tags}}",
         ["splits.column: expected a column of numbers or times, received strings in 'tags'"]),
        ("{label: clicked, splits: {by: time, column: time, boundaries: [9, 5]}}",
         ["splits.boundaries: expected the beginning of eval before the beginning of test, received [9, 5]"]),
        ("{label: clicked, splits: {fractions: {train: 0.5, eval: 0.2, test: 0.2}}}",
         ["splits.fractions: expected fractions of train, eval and test that add up to 1, "
          "received {'train': 0.5, 'eval': 0.2, 'test': 0.2}"]),
        ("{label: clicked, splits: {fractions: {trian: 0.5, eval: 0.5, test: 0.2}}}",
         ["splits.fractions.trian: expected one of train, eval, test, received 'trian'; did you mean 'train'?"]),
        ("{label: clicked, splits: {by: given}}",
         ["source.files: expected files per split (train, test and perhaps eval), received one path"]),
        ("{label: clicked, source: {files: {train: a, test: b}}, splits: {by: random}}",
         ["splits.by: expected 'given' with files per split, received 'random'"]),
        ("{label: clicked, source: {files: {train: a, tset: b}}}",
         ["source.files: expected paths for train, eval, test, received 'tset'; did you mean 'test'?"]),
        ("{label: clicked, source: {files: {train: a}}}",
         ["source.files: expected at least train and test, received train"]),
        ("{label: clicked, source: {files: 3}}",
         ["source.files: expected a path, or a path for each of train, eval and test, received 3"]),
        ("{label: clicked, source: {header: false}}",
         ["source: expected column_names for files without a header, received none"]),
        ("{label: clicked, source: {column_names: [a]}}",
         ["source: expected column_names only with 'header: false', received them with a header"]),
        ("{label: clicked, source: {delimiter: '||'}}",
         ["source.delimiter: expected 1 or fewer characters, received '||'"]),
        ("{label: clicked, source: {delimiter: '§'}}",
         ["source.delimiter: expected an ASCII character that is no letter, digit, double quote or line end, "
          "received '§'"]),
        ("{label: clicked, source: {escape: '\"'}}",
         ["source.escape: expected an ASCII character that is no letter, digit, double quote or line end, "
          "received '\"'"]),
        ("{label: clicked, source: {delimiter: '|', escape: '|'}}",
         ["source: expected an escape other than the delimiter, received '|' for both"]),
        ("{label: clicked, source: {quoting: all}}",
         ["source.quoting: expected one of minimal, none, received 'all'"]),
        ("{label: clicked, ranking: {grup: user_id, item: city}}",
         ["ranking.grup: expected one of the keys group, item, item_columns, title, received 'grup'; "
          "did you mean 'group'?"]),
        (
            "{label: clicked, ranking: {group: user, item: city}}",
            ["ranking.group: expected a column of the data (clicked, user_id, age, price, city, genres, tags, time), "
             "received 'user'; did you mean 'user_id'?"],
        ),
        ("just text", ["expected keys and values, received 'just text'"]),
        ("", ["expected keys and values, received nothing"]),
        ("{label: clicked, label: age}", ["line 1: expected each key once, received 'label' twice"]),
        ("label: clicked\nfeatures: {age: numeric", ["line 2: expected ',' or '}', but got '<stream end>'"]),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line(tmp_path, text, lines):
    assert mistakes(tmp_path, text) == lines


def test_a_column_can_clash_with_a_derived_name(tmp_path):
    text = "{label: clicked, features: {age: {type: numeric, buckets: 3}}}"
    columns = {"clicked": "integer", "age": "integer", "age_bucket": "string"}

    assert mistakes(tmp_path, text, columns) == [
        "features.age: expected names that differ from each other, received 'age_bucket' twice"
    ]


def test_a_column_of_which_no_feature_can_be_made(tmp_path):
    columns = {"clicked": "integer", "age": "integer", "vector": "floats"}

    assert mistakes(tmp_path, "label: clicked", columns) == [
        "features.vector: expected no lists of floats, which no type of feature takes; add the column to 'ignore'"
    ]


def test_no_file_and_not_text(tmp_path):
    path = tmp_path / "features.yaml"
    with pytest.raises(SpecError, match=r"features\.yaml: expected a file, found none"):
        load(path)
    path.write_bytes(b"label: caf\xe9")
    with pytest.raises(SpecError, match=r"features\.yaml: expected UTF-8 text, received byte 0xe9 at offset 10"):
        load(path)


def test_yes_and_no_are_words(tmp_path):
    text = "{label: {column: clicked, positive: [yes, on]}, features: {no: numeric}}"
    spec = load(written(tmp_path, text))

    assert spec.label.positive == ("yes", "on")
    assert list(spec.features) == ["no"]


@pytest.mark.parametrize(
    ("name", "kind", "feature"),
    [
        ("id", "integer", Categorical()),
        ("movieId", "integer", Categorical()),
        ("USER_ID", "integer", Categorical()),
        ("paid", "integer", Numeric()),
        ("humid", "integer", Numeric()),
        ("user_id", "float", Numeric()),
        ("anything", "string", Categorical()),
        ("anything", "integers", Multivalent()),
    ],
)
def test_default_features(name, kind, feature):
    spec = FeatureSpec.model_validate({"label": "y"}).resolve({"y": "integer", name: kind})

    assert spec.features == {name: feature}


@settings(deadline=None)
@given(st.integers(1, 10**8))
def test_embedding_width_follows_the_rule(size):
    width = embedding_width(size, None)

    assert width % 4 == 0
    assert 6 * size**0.25 <= width < 6 * size**0.25 + 4
    assert embedding_width(size, 7) == 7


def test_embedding_width_by_hand():
    assert embedding_width(16, None) == 12  # 6 · 2
    assert embedding_width(10_000, None) == 60  # 6 · 10
    assert embedding_width(17, None) == 4 * math.ceil(6 * 17**0.25 / 4) == 16  # 12.18 rounded up


_WRONG = st.sampled_from([3, -1.5, "txt", True, None, [], ["a"], {}, {"a": "b"}, [[1]], "_x", "age"])
_KEYS = st.sampled_from([*FeatureSpec.model_fields, "labl", "x"])


@settings(deadline=None)
@given(
    st.dictionaries(_KEYS, _WRONG | st.dictionaries(st.sampled_from(["by", "files", "age", "column", "type"]), _WRONG))
)
def test_no_content_gives_anything_but_a_spec_or_a_readable_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "features.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        load(path).resolve(COLUMNS, path)
    except SpecError as error:
        for line in str(error).splitlines():
            assert line.startswith(f"{path}: ")
            assert "expected" in line


def test_numbers_that_name_who_is_shown_what_are_no_quantities():
    spec = FeatureSpec.model_validate({"label": "y", "ranking": {"group": "user", "item": "movie", "title": "movie"}})
    resolved = spec.resolve({"y": "integer", "user": "integer", "movie": "integer", "age": "integer"})
    assert resolved.features == {"user": Categorical(), "movie": Categorical(), "age": Numeric()}
    assert resolved.columns == {"user": "integer", "movie": "integer", "age": "float"}


def test_other_labels_are_no_features_and_have_names_of_their_own_in_examples():
    spec = FeatureSpec.model_validate(
        {"label": "clicked", "other_labels": {"bought": "price", "liked": {"column": "age"}}}
    )
    resolved = spec.resolve({"clicked": "integer", "price": "float", "age": "float", "city": "string"})
    assert list(resolved.features) == ["city"]
    assert [(name, label.column) for name, label in resolved.labels.items()] == [
        ("_label", "clicked"), ("_label_bought", "price"), ("_label_liked", "age"),
    ]  # fmt: skip
