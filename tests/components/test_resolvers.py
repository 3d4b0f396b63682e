import json

import pytest
from tfx.types import standard_artifacts

from components.digests import DIGEST_PROPERTY, digest_of
from components.properties import SPLITS_PROPERTY
from components.resolvers import (
    LatestBlessedModelOfOtherExamplesStrategy,
    LatestOtherBlessedModelStrategy,
    LatestServedModelStrategy,
)
from components.trainer import EXAMPLES_PROPERTY, SPAN_PROPERTY
from schema.errors import RanklineError
from schema.split_record import SplitRecord


def model(number: int) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id = number
    return artifact


def blessing(number: int, blessed: bool = True) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", number)
    artifact.set_int_custom_property("blessed", int(blessed))
    return artifact


@pytest.mark.parametrize(
    ("models", "blessings", "candidate", "baseline"),
    [
        ([1], [], 1, []),  # the first run
        ([1], [blessing(1)], 1, []),  # the first run again
        ([1, 2], [blessing(1)], 2, [1]),
        ([1, 2], [blessing(1), blessing(2)], 2, [1]),  # the second run again: as in its first time
        ([1, 2, 3], [blessing(1), blessing(2, blessed=False)], 3, [1]),
        ([1, 2], [blessing(1), blessing(2)], 1, [2]),  # back to the first configuration
        ([1, 2], [blessing(1, blessed=False)], 2, []),
    ],
)
def test_the_latest_blessed_model_but_the_candidate(models, blessings, candidate, baseline):
    channels = {
        "model": [model(number) for number in models],
        "model_blessing": blessings,
        "infra_blessing": [],
        "candidate": [model(candidate)],
    }
    resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(None, channels)

    assert [found.id for found in resolved["model"]] == baseline
    assert [found.get_int_custom_property("current_model_id") for found in resolved["model_blessing"]] == baseline
    assert resolved["candidate"] == []


def infra_blessing(number: int, of_model: int, *refusals: str) -> standard_artifacts.InfraBlessing:
    artifact = standard_artifacts.InfraBlessing()
    artifact.id = number
    artifact.set_int_custom_property("current_model_id", of_model)
    artifact.set_string_custom_property("refusals", json.dumps(refusals))
    artifact.set_int_custom_property("blessed", int(not refusals))
    return artifact


def test_what_is_refreshed_is_the_latest_blessed_model_that_can_be_served():
    channels = {
        "model": [model(1), model(2), model(3)],
        "model_blessing": [blessing(1), blessing(2), blessing(3, blessed=False)],
        "infra_blessing": [infra_blessing(7, 2, "too slow")],
    }
    resolved = LatestServedModelStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == [1]
    assert [found.get_int_custom_property("current_model_id") for found in resolved["model_blessing"]] == [1]

    with pytest.raises(RanklineError, match="refresh: expected a model that was blessed, found none"):
        LatestServedModelStrategy().resolve_artifacts(
            None, {**channels, "model_blessing": [blessing(3, blessed=False)]}
        )


@pytest.mark.parametrize(
    ("verdicts", "baseline"),
    [
        ([(1, 1), (2, 2)], [2]),
        ([(1, 1), (2, 2, "too slow")], [1]),
        ([(1, 1, "too slow"), (2, 2, "too slow")], []),
        ([(1, 2), (2, 2, "too slow")], [2]),  # pushed, and checked again with other limits
    ],
)
def test_a_model_that_was_not_pushed_for_its_limits_is_passed_over(verdicts, baseline):
    channels = {
        "model": [model(number) for number in (1, 2, 3)],
        "model_blessing": [blessing(1), blessing(2)],
        "infra_blessing": [infra_blessing(*verdict) for verdict in verdicts],
        "candidate": [model(3)],
    }
    resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == baseline
    assert resolved["infra_blessing"] == []


def test_a_model_that_was_damaged_is_passed_over(tmp_path):
    models = [model(number) for number in (1, 2, 3)]
    for each in models[:2]:
        each.uri = str(tmp_path / str(each.id))
        (tmp_path / str(each.id)).mkdir()
        each.set_string_custom_property(DIGEST_PROPERTY, digest_of(each.uri))
    (tmp_path / "2" / "saved_model.pb").touch()
    channels = {
        "model": models,
        "model_blessing": [blessing(1), blessing(2)],
        "infra_blessing": [],
        "candidate": [models[2]],
    }
    resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == [1]


def trained_model(number: int, examples: str) -> standard_artifacts.Model:
    artifact = model(number)
    if examples:
        artifact.set_string_custom_property(EXAMPLES_PROPERTY, examples)
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
    models = [trained_model(number, examples) for number, examples in enumerate(trained_on, 1)]
    channels = {
        "model": models,
        "model_blessing": [blessing(each.id, each.id not in refused) for each in models],
        "examples": [today],
        "raw_examples": [standard_artifacts.Examples()],
    }
    resolved = LatestBlessedModelOfOtherExamplesStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == earlier
    assert resolved["examples"] == resolved["raw_examples"] == []


def test_no_model_that_may_have_seen_rows_of_the_test_split():
    by_user, by_item = (SplitRecord(by="random", columns=(name,), train_end=0.8, test_start=0.9) for name in ("u", "i"))
    raw_examples = standard_artifacts.Examples()
    raw_examples.set_string_custom_property(SPLITS_PROPERTY, by_user.model_dump_json())
    models = [trained_model(number, "others") for number in (1, 2, 3)]
    for each, splits in zip(models, (by_user, by_item, None), strict=True):
        if splits:
            each.set_string_custom_property(SPLITS_PROPERTY, splits.model_dump_json())
    channels = {
        "model": models,
        "model_blessing": [blessing(each.id) for each in models],
        "examples": [standard_artifacts.Examples()],
        "raw_examples": [raw_examples],
    }
    resolved = LatestBlessedModelOfOtherExamplesStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == [1]


@pytest.mark.parametrize(
    ("trained_for", "span", "earlier"),
    [
        ([1, 2], 3, [2]),
        ([1, 2, 4, 3], 3, [2]),  # once more for the past: what has seen more of it is left out
        ([3], 3, []),
        ([0], 3, [1]),  # from before the data came in spans
        ([0, 7], 0, [2]),  # of data without spans
    ],
)
def test_the_latest_blessed_model_of_an_earlier_span(trained_for, span, earlier):
    examples, raw_examples = standard_artifacts.Examples(), standard_artifacts.Examples()
    raw_examples.span = span
    models = [trained_model(number, "others") for number, _ in enumerate(trained_for, 1)]
    for each, of_model in zip(models, trained_for, strict=True):
        each.set_int_custom_property(SPAN_PROPERTY, of_model)
    channels = {
        "model": models,
        "model_blessing": [blessing(each.id) for each in models],
        "examples": [examples],
        "raw_examples": [raw_examples],
    }
    resolved = LatestBlessedModelOfOtherExamplesStrategy().resolve_artifacts(None, channels)
    assert [found.id for found in resolved["model"]] == earlier
