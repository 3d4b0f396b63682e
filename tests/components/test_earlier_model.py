import pytest
from tfx.types import standard_artifacts

from components.earlier_model import LatestBlessedModelOfOtherExamplesStrategy
from components.trainer import EXAMPLES_PROPERTY


def model(number: int, examples: str) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id = number
    if examples:
        artifact.set_string_custom_property(EXAMPLES_PROPERTY, examples)
    return artifact


def blessing(number: int, blessed: bool = True) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", number)
    artifact.set_int_custom_property("blessed", int(blessed))
    return artifact


@pytest.mark.parametrize(
    ("trained_on", "refused", "earlier"),
    [
        ([], (), []),
        (["monday"], (), [1]),
        (["monday", "tuesday"], (), [2]),
        (["monday", "tuesday"], (2,), [1]),
        (["monday", "today"], (), [1]),  # this run once more: begins as in its first time
        (["today"], (), []),
        ([""], (), []),  # from before it was noted
    ],
)
def test_the_latest_blessed_model_that_was_trained_on_other_examples(trained_on, refused, earlier):
    today = standard_artifacts.Examples()
    today.uri = "today"
    models = [model(number, examples) for number, examples in enumerate(trained_on, 1)]
    channels = {
        "model": models,
        "model_blessing": [blessing(each.id, each.id not in refused) for each in models],
        "examples": [today],
    }
    resolved = LatestBlessedModelOfOtherExamplesStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == earlier
    assert resolved["examples"] == []
