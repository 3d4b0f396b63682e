"""Datasets by name and path, the files that belong to them, and data that is fetched once."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

from schema.dataset import available, find
from schema.errors import DataError, SpecError
from schema.fetching import cache_folder, fetched, package_file

TABLE = pa.table({"y": [1, 0], "a": [1, 2]})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKLINE_CACHE", str(tmp_path / "cache"))


def test_available_datasets_can_be_named():
    names = [name for name, _ in available()]
    assert {"movielens", "census"} <= set(names)
    assert all(description for _, description in available())
    with pytest.raises(SpecError) as caught:
        find("movielense")
    assert str(caught.value) == (
        f"dataset: expected one of {', '.join(names)}, or a folder with a features.yaml, "
        "received 'movielense'; did you mean 'movielens'?"
    )


def test_a_folder_or_its_features_file(make_folder):
    folder = make_folder("label: y", {"a.parquet": TABLE, "schema.pbtxt": ""})

    dataset = find(folder)

    assert dataset == find(folder / "features.yaml") == find(str(folder))
    assert dataset.name == "stranger"
    assert dataset.folder == dataset.base == folder
    assert dataset.files == {"all": (folder / "a.parquet",)}
    assert dataset.schema_path == folder / "schema.pbtxt"
    assert dataset.spec.columns == {"a": "float"}


def test_a_relative_path(make_folder, monkeypatch):
    folder = make_folder("label: y", {"a.parquet": TABLE})
    monkeypatch.chdir(folder)

    assert find(".").name == "stranger"
    assert find("features.yaml").files == {"all": (folder / "a.parquet",)}


def test_a_folder_without_a_spec(tmp_path):
    with pytest.raises(SpecError, match=r"expected a folder with a features\.yaml, found none in it"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ("a.csv", ["a.csv"]),
        ("logs", ["logs/2020/x.csv", "logs/b.csv"]),
        ("logs/*.csv", ["logs/b.csv"]),
        ("logs/**/*.csv", ["logs/2020/x.csv", "logs/b.csv"]),
        ("", ["a.csv"]),
    ],
)
def test_files_folders_and_globs(make_folder, files, found):
    text = "y,a\n1,2\n"
    names = ["a.csv", "logs/b.csv", "logs/2020/x.csv", "logs/_SUCCESS", "logs/.x.csv.crc", "logs/notes.txt"]
    folder = make_folder(f"{{label: y, source: {{files: '{files}'}}}}", dict.fromkeys(names, text))

    assert find(folder).files == {"all": tuple(folder / name for name in found)}


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path):
    folder = tmp_path / "logs [2020]"
    folder.mkdir()
    (folder / "features.yaml").write_text("{label: y, source: {files: '*.csv'}}", encoding="utf-8")
    (folder / "a.csv").write_text("y,a\n1,2\n", encoding="utf-8")

    assert find(folder).files == {"all": (folder / "a.csv",)}


def test_a_format_that_the_names_do_not_tell(make_folder):
    folder = make_folder("{label: y, source: {files: logs, format: csv}}", {"logs/part-0": "y,a\n1,2\n"})

    assert find(folder).files == {"all": (folder / "logs" / "part-0",)}


def test_files_by_split_agree_about_their_columns(make_folder):
    description = "{label: y, source: {files: {train: a.csv, test: b.csv}}, features: {b: numeric}}"
    folder = make_folder(description, {"a.csv": "y,a,b\n1,x,1\n", "b.csv": "y,a,b\n1,2,1.5\n"})

    dataset = find(folder)

    assert dataset.files == {"train": (folder / "a.csv",), "test": (folder / "b.csv",)}
    assert dataset.spec.columns == {"b": "float", "a": "string"}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("{label: y, source: {files: none.csv}}",
         "features.yaml: source.files: expected data files, whose names end in .csv, .tsv, .parquet, .pq, .tfrecord, "
         ".tfrecords or whose format is said in source.format, received 'none.csv' in {folder}, where there are none"),
        ("{label: y, source: {files: {train: a.csv, test: 'none/*'}}}",
         "features.yaml: source.files.test: expected data files, whose names end in .csv, .tsv, .parquet, .pq, "
         ".tfrecord, .tfrecords or whose format is said in source.format, received 'none/*' in {folder}, where there "
         "are none"),
        ("label: y",
         "features.yaml: source.files: expected files of one format, received csv, parquet; say source.files"),
    ],
)  # fmt: skip
def test_files_that_are_not_there(make_folder, description, message):
    folder = make_folder(description, {"a.csv": "y,a\n1,2\n", "b.parquet": TABLE})
    with pytest.raises(DataError) as caught:
        find(folder)
    assert str(caught.value).replace(f"{folder}/features", "features") == message.format(folder=folder)


SOURCE = """
def fetch(folder):
    with open({log!r}, "a") as log:
        log.write("fetched\\n")
    (folder / "a.csv").write_text("y,a\\n1,2\\n")
"""


def test_data_is_fetched_once_and_again_when_the_way_changes(make_folder, tmp_path):
    log = tmp_path / "log"
    source = SOURCE.format(log=str(log))
    folder = make_folder("{label: y, source: {fetch: source.py, files: a.csv}}", {"source.py": source})

    first, second = find(folder), find(folder)

    assert first == second
    assert first.base.parent == cache_folder()
    assert first.files == {"all": (first.base / "a.csv",)}
    assert log.read_text() == "fetched\n"
    assert [path for path in cache_folder().iterdir() if path != first.base] == []

    (folder / "source.py").write_text(source + "# another way\n")
    assert find(folder).base != first.base
    assert log.read_text() == "fetched\n" * 2


def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path):
    source = tmp_path / "source.py"
    source.write_text(
        "from schema.errors import DataError\n"
        "def fetch(folder):\n"
        "    (folder / 'half').touch()\n"
        "    raise DataError('no network')\n"
    )
    with pytest.raises(DataError, match="no network"):
        fetched("name", source)
    assert list(cache_folder().iterdir()) == []


def test_a_source_without_fetch(tmp_path):
    source = tmp_path / "source.py"
    with pytest.raises(SpecError, match=r"source\.py: expected a Python file with fetch\(folder\), found none"):
        fetched("name", source)
    source.write_text("fetch = 3\n")
    with pytest.raises(SpecError, match=r"source\.py: expected a function fetch\(folder: Path\) -> None, found none"):
        fetched("name", source)


def test_the_cache_folder(monkeypatch):
    monkeypatch.delenv("RANKLINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert cache_folder() == Path("/some/where/rankline")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert cache_folder() == Path("/home/ann/.cache/rankline")


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Path:
    """A wheel of a package that no index has, where pip looks for it."""
    import zipfile

    path = tmp_path / "rankline_nowhere-1.0-py3-none-any.whl"
    info = "rankline_nowhere-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rankline_nowhere/data.csv", "y,a\n1,2\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: rankline-nowhere\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return path


def test_a_packages_file_is_downloaded_and_removed(wheel):
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()

    with package_file("rankline-nowhere==1.0", digest) as path:
        assert path.read_bytes() == wheel.read_bytes()

    assert not path.parent.exists()


def test_another_file_than_expected_is_refused(wheel):
    with (
        pytest.raises(
            DataError, match=r"rankline-nowhere==1\.0: expected its file with the SHA-256 0000.*MATCH THE HASHES"
        ),
        package_file("rankline-nowhere==1.0", "0" * 64),
    ):
        pass


def test_a_package_that_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DataError) as caught, package_file("rankline-nowhere==1.0", "0" * 64):
        pass
    assert str(caught.value) == (
        f"rankline-nowhere==1.0: expected its file with the SHA-256 {'0' * 64} from the package index, received: "
        "Could not find a version that satisfies the requirement rankline-nowhere==1.0 (from versions: none). "
        "To provide it by hand, put that file into a folder and set PIP_FIND_LINKS to the folder's path"
    )
    assert not [name for name in os.listdir(tmp_path) if name.startswith("rankline-")]
