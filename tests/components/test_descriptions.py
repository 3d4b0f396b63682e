"""The outputs' part of a run's result. tests/pipeline/run/test_graph.py checks that every component is described."""

import subprocess
import sys

import pytest
from tfx.types import standard_artifacts

from components.descriptions import DESCRIPTIONS
from components.run_result import RunResult


@pytest.mark.parametrize("module", ["components.descriptions", "pipeline.config.kubeflow"])
def test_what_a_component_uses_is_told_without_tfx(module):
    script = f"import sys, {module}; print({{'tfx', 'tensorflow', 'apache_beam'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def pushed_model(**properties: int | str) -> standard_artifacts.PushedModel:
    pushed = standard_artifacts.PushedModel()
    for name, value in properties.items():
        setter = pushed.set_int_custom_property if isinstance(value, int) else pushed.set_string_custom_property
        setter(name, value)
    return pushed


@pytest.mark.parametrize(
    ("properties", "pushed", "unchanged", "skipped"),
    [
        ({"pushed": 1, "pushed_destination": "serving/7"}, "serving/7", [], False),
        ({"pushed": 1, "pushed_destination": "serving/7", "unchanged": 1}, "serving/7", ["Pusher"], False),
        ({"pushed": 0}, None, [], True),
    ],
)
def test_a_pusher_tells_what_it_pushed(properties, pushed, unchanged, skipped):
    outputs, result = {"pushed_model": pushed_model(**properties)}, RunResult("1")
    DESCRIPTIONS["Pusher"].summarise(result, outputs)
    assert (result.pushed, result.unchanged) == (pushed, unchanged)
    assert DESCRIPTIONS["Pusher"].is_skipped(outputs) is skipped


def test_an_infra_check_adds_its_refusals_and_may_have_measured_a_refused_model():
    blessing, result = standard_artifacts.InfraBlessing(), RunResult("1", refusals=["auc: too low"])
    assert DESCRIPTIONS["InfraCheck"].is_skipped({"blessing": blessing})
    blessing.set_int_custom_property("checked", 1)
    blessing.set_string_custom_property("refusals", '["size: too large"]')
    DESCRIPTIONS["InfraCheck"].summarise(result, {"blessing": blessing})
    assert result.refusals == ["auc: too low", "size: too large"]
    assert not DESCRIPTIONS["InfraCheck"].is_skipped({"blessing": blessing})
