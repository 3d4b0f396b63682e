import pytest
from tfx.types import standard_artifacts

from components.digests import DIGEST_PROPERTY, digest_of, is_intact


@pytest.fixture
def model(tmp_path) -> standard_artifacts.Model:
    (tmp_path / "model" / "variables").mkdir(parents=True)
    (tmp_path / "model" / "graph").write_text("graph")
    (tmp_path / "model" / "variables" / "data").write_bytes(b"\x00" * 3_000_000)
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path / "model")
    artifact.set_string_custom_property(DIGEST_PROPERTY, digest_of(artifact.uri))
    return artifact


def test_an_artifact_that_nobody_has_touched(model):
    assert is_intact(model)


@pytest.mark.parametrize(
    "damage", ["one bit", "a file less", "a file more", "another name", "another place", "no folder"]
)
def test_an_artifact_that_is_not_what_it_was(model, tmp_path, damage):
    folder, data = tmp_path / "model", tmp_path / "model" / "variables" / "data"
    if damage == "one bit":
        content = bytearray(data.read_bytes())
        content[-1] ^= 1
        data.write_bytes(content)
    elif damage == "a file less":
        data.unlink()
    elif damage == "a file more":
        (folder / "empty").touch()
    elif damage == "another name":
        data.rename(data.with_name("date"))
    elif damage == "another place":
        data.rename(folder / "data")
    else:
        folder.rename(tmp_path / "gone")
    assert not is_intact(model)


def test_an_artifact_from_before_digests_were_noted(model):
    del model.mlmd_artifact.custom_properties[DIGEST_PROPERTY]
    assert is_intact(model)
