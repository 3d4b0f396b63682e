"""The choice of the served version under a base path."""

import pytest
from tensorflow.python.lib.io import file_io

from serving.server import storage
from serving.server.storage import Policy

LATEST = Policy()


def aspired_versions(base_path, policy=LATEST):
    return storage.aspired_versions(base_path, policy)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"latest": {}}, {10}),
        ({"latest": {"num_versions": 2}}, {9, 10}),
        ({"latest": {"num_versions": 5}}, {1, 9, 10}),
        ({"all": {}}, {1, 9, 10}),
        ({"specific": {"versions": [9, 1, 11]}}, {1, 9}),
        ({"specific": {}}, set()),
    ],
)
def test_a_policy_chooses(tmp_path, policy, expected):
    for name in ("1", "9", "10"):
        (tmp_path / name).mkdir()

    assert aspired_versions(str(tmp_path), Policy(**policy)).keys() == expected


def test_the_largest_version_counts(tmp_path):
    for name in ("1", "9", "10"):
        (tmp_path / name).mkdir()

    assert aspired_versions(str(tmp_path)) == {10: str(tmp_path / "10")}


def test_names_are_whole_numbers(tmp_path):
    for name in ("0007", "latest", "8.5", "9_0", "tmp-12", "١٢", "99999999999999999999", "0x10", ""):
        (tmp_path / name).mkdir(exist_ok=True)

    assert aspired_versions(str(tmp_path)) == {7: str(tmp_path / "0007")}


def test_of_two_names_for_a_version_the_last_in_order_counts(tmp_path):
    for name in ("0007", "7", "07"):
        (tmp_path / name).mkdir()

    assert aspired_versions(str(tmp_path)) == {7: str(tmp_path / "7")}


def test_an_empty_base_path_asks_for_nothing(tmp_path):
    assert aspired_versions(str(tmp_path)) == {}


def test_of_a_missing_base_path_nothing_is_known(tmp_path):
    assert aspired_versions(str(tmp_path / "missing")) is None


def test_a_base_path_that_cannot_be_listed_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        aspired_versions(str(tmp_path / "file"))


def test_other_file_systems():
    base_path = "ram://test_storage"
    assert aspired_versions(base_path) is None

    file_io.recursive_create_dir(f"{base_path}/3/variables")
    file_io.write_string_to_file(f"{base_path}/3/variables/data", "")
    file_io.recursive_create_dir(f"{base_path}/12")
    file_io.write_string_to_file(f"{base_path}/12/saved_model.pb", "")

    assert aspired_versions(base_path) == {12: f"{base_path}/12"}
