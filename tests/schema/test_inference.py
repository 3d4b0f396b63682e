"""The types of columns, inferred from all files, and the oddities that are reported."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schema.csv_file import _BLOCK_BYTES
from schema.dataset import find
from schema.errors import DataError
from schema.feature_spec import FeatureSpec
from schema.inference import Inference, inspect


def inspected(folder: Path, *contents: str | pa.Table, **spec: object) -> Inference:
    """Files of one column `v` each line, or tables."""
    paths = []
    for index, content in enumerate(contents):
        paths.append(folder / (f"{index}.csv" if isinstance(content, str) else f"{index}.parquet"))
        if isinstance(content, str):
            paths[-1].write_text(content)
        else:
            pq.write_table(content, paths[-1])
    return inspect(paths, FeatureSpec.model_validate({"label": "y", **spec}))


def column(values: list) -> str:
    return "y,v\n" + "".join(f"1,{value}\n" for value in values)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-20", ""], "integer"),
        (["true", "False"], "integer"),
        (["1", "2.5"], "float"),
        (["1e3", "-.5"], "float"),
        (["02139", "10001"], "string"),  # as a number it would lose its zero
        (["12345678901234567890"], "string"),  # more digits than int64 holds
        (["0.5", "0"], "float"),
        (["10:30"], "string"),
        (["a", "1"], "string"),
        (["0x1f"], "string"),
        (["", "NA"], "string"),
        (["2020-01-31", "2020-02-01"], "integer"),
        (["2020-01-31 10:00:00", r"\N"], "integer"),
        (["2020-01-31T10:00:00Z"], "integer"),
        (["2020-01-31 10:00:00 UTC"], "integer"),
        (["2020-01-31 10:00:00.123456789", "2020-01-31"], "integer"),
        (["2020-01-31 10:00:00+01:00", "2020-01-31 10:00:00"], "integer"),
        (["01/31/2020"], "string"),
    ],
)
def test_the_type_that_texts_speak_for(tmp_path, texts, kind):
    found = inspected(tmp_path, column(texts))

    assert found.columns["v"] == kind
    assert list(found.times) == (["v"] if kind == "integer" and texts[0].startswith("2020") else [])


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ([""], ["1.5"], "float"),
        (["1"], ["1.5"], "float"),
        (["1"], [""], "integer"),
        (["2020-01-31"], [""], "integer"),
        (["NULL"], ["02139"], "string"),
    ],
)
def test_all_files_are_looked_at(tmp_path, first, second, kind):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    for folder, files in (("one", (first, second)), ("other", (second, first))):
        assert inspected(tmp_path / folder, *map(column, files)).columns["v"] == kind


def test_a_column_that_is_empty_for_long_is_read_on(tmp_path):
    rows = _BLOCK_BYTES // 4
    found = inspected(tmp_path, "y,v\n" + "1,\n" * 2 * rows + "1,2.5\n")

    assert found.columns["v"] == "float"


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (pa.array([None], pa.null()), pa.array([1.5]), "float"),
        (pa.array([1]), pa.array([1.5]), "float"),
        (pa.array([1]), pa.array(["2"]), "integer"),  # numbers, as in CSV
        (pa.array(["1"]), pa.array(["2"]), "string"),
        (pa.array([[1]]), pa.array([[2, 3]]), "integers"),
        (pa.array([1]), pa.array([[2, 3]]), "integer"),  # refused where it is read
    ],
)
def test_types_of_several_parquet_files(tmp_path, first, second, kind):
    for order in (1, -1):
        files = [pa.table({"y": [1], "v": values}) for values in (first, second)][::order]
        assert inspected(tmp_path, *files).columns["v"] == kind


def test_what_is_a_number_in_one_file_and_a_text_in_the_next_is_told(tmp_path):
    (remark,) = inspected(tmp_path, column(list("abcdefgh")), column(["1"] * 2)).remarks

    assert remark == (
        f"{tmp_path}/0.csv: line 2: v: all sampled values in {tmp_path}/1.csv are numbers, here are "
        "others: 'a' (1), 'b' (1), 'c' (1) and 5 more, so the column is read as texts; say columns: "
        "{v: string} if that is meant"
    )


@pytest.mark.parametrize("mark", ["?", "-", "unknown", "missing", "#DIV/0!"])
@pytest.mark.parametrize("as_csv", [True, False])
def test_numbers_with_a_mark_are_told(tmp_path, mark, as_csv):
    values = ["1.5"] * 18 + [mark, "7"]
    (remark,) = inspected(tmp_path, column(values) if as_csv else pa.table({"y": [1] * 20, "v": values})).remarks

    place = f"{tmp_path}/0.csv: line 20" if as_csv else f"{tmp_path}/0.parquet: row 19"
    assert remark == (
        f"{place}: v: 19 of the 20 values looked at are numbers, others are not: {mark!r} (1), so the column is "
        "read as texts; say columns: {v: string} if that is meant; else list what stands for a missing value in "
        "source.null_values, beside those that it has by default, or mend the data"
    )
    for settled in (
        {"columns": {"v": "string"}},
        {"features": {"v": "categorical"}},
        {"source": {"null_values": [mark]}},
    ):
        file = column(values) if as_csv else pa.table({"y": [1] * 20, "v": values})
        assert not inspected(tmp_path, file, **settled).remarks


@pytest.mark.parametrize("values", [["1,234.50", "12.00"], ["$5", "$1,200"], ["5 %", "12.5%"], ["€3", "4"]])
def test_amounts_are_told(tmp_path, values):
    (remark,) = inspected(tmp_path, column([f'"{value}"' for value in values])).remarks

    assert "so the column is read as texts" in remark
    assert remark.endswith("else write numbers without signs and thousands separators")


def test_dates_of_which_one_is_none_are_told(tmp_path):
    (remark,) = inspected(tmp_path, column(["2024-03-01"] * 19 + ["soon"])).remarks

    assert remark.startswith(f"{tmp_path}/0.csv: line 21: v: 19 of the 20 values looked at are dates or times")


@pytest.mark.parametrize("values", [["02139", "10001", "?"], ["a", "b"], ["1", "a", "b"], ["u1", "2"]])
def test_names_are_no_numbers(tmp_path, values):
    assert not inspected(tmp_path, column(values)).remarks


def test_a_column_that_only_a_later_file_has(tmp_path):
    found = inspected(tmp_path, "y,v\n1,2\n", "y,v,device\n0,3,tv\n")

    assert set(found.columns) == {"y", "v"}
    assert found.remarks == [f"{tmp_path}/1.csv has the column 'device', which {tmp_path}/0.csv lacks; it is not used"]
    assert list(found.unused) == ["device"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_begins_as_numbers_is_refused_where_it_is_none(make_folder, kind):
    from schema.reader import read

    tables = {"a": pa.table({"y": [1], "v": [1.5]}), "b": pa.table({"y": [1, 0], "v": ["2", "two"]})}
    files = {
        f"{name}.{kind}": table if kind == "parquet" else column(table["v"].to_pylist())
        for name, table in tables.items()
    }
    folder = make_folder("label: y", files)

    dataset = find(folder)
    with pytest.raises(
        DataError, match=r"b\.\w+: (line 3|row 2): v: expected a number, received 'two'; for texts say "
    ):
        list(read(folder / f"b.{kind}", dataset.spec))


def test_a_column_without_a_name_is_told(tmp_path):
    found = inspected(tmp_path, ",y,v\n0,1,2\n1,0,3\n")  # as pandas writes a table with its index

    assert set(found.columns) == {"y", "v"}
    assert found.remarks == ["a column without a name is not used; give it one, or remove it"]


def test_one_that_is_asked_for_is_refused(make_folder):
    folder = make_folder("{label: y, features: {device: categorical}}",
                         {"a.csv": "y,v\n1,2\n", "b.csv": "y,v,device\n0,3,tv\n"})  # fmt: skip
    from schema.reader import read

    dataset = find(folder)
    with pytest.raises(DataError, match=r"a\.csv: expected a column 'device', received the columns y, v"):
        list(read(folder / "a.csv", dataset.spec))


@pytest.mark.parametrize(
    "empty", ["", "y,v\n", pa.table({"y": pa.array([], pa.int64()), "v": pa.array([], pa.string())})]
)
def test_a_part_without_rows_is_passed_over(tmp_path, empty):
    rows = pa.table({"y": [1], "v": [1.5]}) if isinstance(empty, pa.Table) else "y,v\n1,1.5\n"
    found = inspected(tmp_path, empty, rows)

    assert found.columns["v"] == "float"
    (name,) = (path.name for path in found.empty)
    assert found.remarks == [f"{tmp_path}/{name}: skipped, without rows"]
    with pytest.raises(DataError, match="expected rows, received none"):
        inspected(tmp_path, empty)


def test_a_mistaken_name_to_ignore_is_told(make_folder):
    from schema.errors import SpecError

    with pytest.raises(SpecError, match="ignore: expected a column of the data"):
        find(make_folder("{label: y, ignore: [vv]}", {"a.csv": "y,v\n1,2\n"}))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("user_id", ["10001.0", "", "10002.0"]),
        ("userid", ["10001", "10002", "7"]),
        ("uid", ["10001", "10002", "7"]),
        ("item", ["10001.0", "10002.0", "7.0"]),
        ("sessionId", ["10001", "10002", "7"]),
    ],
)
def test_ids_are_ids(make_folder, name, values):
    text = f"y,{name}\n" + "".join(f"1,{value}\n" for value in values)

    spec = find(make_folder("label: y", {"a.csv": text})).spec

    assert (spec.features[name].type, spec.columns[name]) == ("categorical", "integer")


@pytest.mark.parametrize(
    "name", ["bid", "paid", "price_per_item", "clicks_per_user", "humid", "grid", "valid", "items"]
)
def test_quantities_are_no_ids(make_folder, name):
    spec = find(make_folder("label: y", {"a.csv": f"y,{name}\n1,2\n0,3.0\n"})).spec

    assert spec.features[name].type == "numeric"


@pytest.mark.parametrize(
    "description",
    ["ranking: {group: v, item: w}", "crosses: [{columns: [v, w]}]", "features: {w: {shares: v}, v: categorical}"],
)
@pytest.mark.parametrize(
    "stored", [pa.float64(), pa.float32(), pa.decimal128(38, 0), pa.uint64(), pa.int32(), "dictionary"]
)
def test_what_is_used_as_a_name_is_one(make_folder, description, stored):
    numbers = pa.array([10001, None, 10003])
    v = numbers.dictionary_encode() if stored == "dictionary" else numbers.cast(stored)
    folder = make_folder(f"label: y\n{description}", {"a.parquet": pa.table({"y": [1, 0, 1], "v": v, "w": v})})

    from schema.reader import read

    dataset = find(folder)
    assert (dataset.spec.features["v"].type, dataset.spec.columns["v"]) == ("categorical", "integer")
    (batch,) = read(folder / "a.parquet", dataset.spec)
    assert batch["v"].to_pylist() == [10001, None, 10003]


def test_underscores_are_told_or_refused(make_folder):
    from schema.errors import SpecError

    folder = make_folder("label: y", {"a.csv": "y,_user,price\n1,a,2\n0,b,3\n"})
    dataset = find(folder)
    assert list(dataset.spec.features) == ["price"]
    assert dataset.spec.ignore == ("_user",)
    (remark,) = dataset.remarks
    assert remark.endswith(
        "not used: _user, since a leading underscore marks Rankline's own names; rename the columns, or add them to "
        "'ignore'"
    )
    for use in ("ranking: {group: _user, item: price}", "slices: [_user]", "splits: {key: _user}"):
        (folder / "features.yaml").write_text(f"label: y\n{use}\n")
        with pytest.raises(SpecError, match=r"expected no leading underscore, which marks Rankline's own names"):
            find(folder)
    (folder / "features.yaml").write_text("{label: y, ignore: [_user]}\n")
    assert not find(folder).remarks


@pytest.mark.parametrize("odd", ["0000-00-00", "0000-00-00 00:00:00", "0", "2024-02-30", "2024-03-01 10:00:00 PST"])
def test_what_looks_like_a_date_and_is_none_is_told(tmp_path, odd):
    (remark,) = inspected(tmp_path, column(["2024-03-01"] * 19 + [odd])).remarks

    assert remark.startswith(f"{tmp_path}/0.csv: line 21: v: 19 of the 20 values looked at are dates or times")
    assert repr(odd) in remark


def test_a_few_marks_in_many_rows_are_told(tmp_path):
    (remark,) = inspected(tmp_path, column(["1.5", "-"] * 20)).remarks

    assert "20 of the 40 values looked at are numbers, others are not: '-' (20)" in remark


@pytest.mark.parametrize("first", [["10001"], ["10001.5"]])
def test_names_in_a_later_file_make_names_of_all(tmp_path, first):
    found = inspected(tmp_path, column(first), column(["02139"]))

    assert found.columns["v"] == "string"


def test_digits_that_a_number_would_lose_are_refused_where_nothing_is_said_of_the_column(make_folder):
    from schema.reader import read

    rows = "1,10001\n" * (_BLOCK_BYTES // 4)
    folder = make_folder("label: y", {"a.csv": f"y,v\n{rows}0,02139\n"})
    with pytest.raises(DataError, match=r"v: expected a number, received '02139'; if these are names, say columns: "):
        list(read(folder / "a.csv", find(folder).spec))
    (folder / "features.yaml").write_text("{label: y, features: {v: numeric}}")
    assert list(read(folder / "a.csv", find(folder).spec))[-1]["v"][-1].as_py() == 2139


@pytest.mark.parametrize("values", [["1.23000E+11", "2"], ["10.5", "2"], ["3e3", "4"]])
def test_a_group_of_decimals_is_refused(make_folder, values):
    from schema.errors import SpecError

    text = "y,u,i\n" + "".join(f"1,{value},a\n" for value in values)
    with pytest.raises(SpecError, match=r"ranking\.group: expected a column of texts or whole numbers, received dec"):
        find(make_folder("{label: y, ranking: {group: u, item: i}}", {"a.csv": text}))


def test_a_group_of_lists_is_refused(make_folder):
    from schema.errors import SpecError

    table = pa.table({"y": [1, 0], "u": [["a", "b"], ["c"]], "i": ["x", "y"]})
    with pytest.raises(SpecError, match=r"ranking\.group: expected a column of texts or whole numbers, received lists"):
        find(make_folder("{label: y, ranking: {group: u, item: i}}", {"a.parquet": table}))
