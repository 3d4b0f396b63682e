"""Rules and dashboard: they use existing metrics and labels, and the alerts fire when they should."""

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest

from serving.server import monitoring
from tests.manifests import documents
from tests.serving.deploy.files import DEPLOY

MONITORING = DEPLOY / "monitoring"
HISTOGRAM = ("_bucket", "_sum", "_count")
OF_TARGETS = {"instance", "job", "namespace", "pod"}

# TF Serving's own, of batching/batching_session.cc and batching_util.h, which the embedded server does not have.
BATCHING = {
    ":tensorflow:serving:batching_session:queuing_latency": {"thread_pool_name"},
    ":tensorflow:serving:batching_session:processed_batch_size": set(),
    ":tensorflow:serving:batching_session:input_batch_size": set(),
}
OF_OTHERS = {
    "up": set(),  # Prometheus
    "container_cpu_usage_seconds_total": {"container"},  # the kubelet
    "kube_pod_container_resource_requests": {"resource"},  # kube-state-metrics
    "DCGM_FI_DEV_GPU_UTIL": set(),  # NVIDIA's DCGM exporter
    "DCGM_FI_DEV_FB_USED": set(),
}


def known_series():
    """Labels by name: of the embedded server's metrics, which have TF Serving's names, and of others."""
    embedded = {metric.name: set(metric._labels) for metric in monitoring._metrics}
    histograms = BATCHING | {
        metric.name: embedded[metric.name] for metric in monitoring._metrics if metric.kind == "histogram"
    }
    return embedded | OF_OTHERS | {name + end: labels for name, labels in histograms.items() for end in HISTOGRAM}


(RULES,) = documents((MONITORING / "rules.yaml").read_text())
RECORDED = {rule["record"]: rule for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
RECORDED_LABELS = {"model_name": {"model_name"}, "model_name_status": {"model_name", "status"}}
"""The labels of what is recorded, by the first part of its name."""
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
TARGETS = {
    f"{title} {target['refId']}": target for title, panel in PANELS.items() for target in panel.get("targets", ())
}


def parsed(expression):
    """The expression with Grafana's own variable put in."""
    return promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def series(expression):
    """The name, and the labels asked for, of all that it selects; the labels it groups by."""
    selected, grouped = [], set()

    def look(node):
        if isinstance(node, promql_parser.VectorSelector):
            selected.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            grouped.update(node.modifier.labels)

    promql_parser.walk(expression, look)
    return selected, grouped


def labels_of(expression):
    """Checks that an expression asks for what there is, and returns the labels that it may group by."""
    known = known_series() | {name: RECORDED_LABELS[name.split(":")[0]] for name in RECORDED}
    selected, grouped = series(parsed(expression))
    assert selected
    there = set(OF_TARGETS)
    for name, labels in selected:
        assert name in known
        assert labels <= known[name] | OF_TARGETS | {"le"}
        there |= known[name] | ({"le"} if name.endswith("_bucket") else set())
    assert grouped <= there
    return there


@pytest.mark.parametrize("name", [*RECORDED, *ALERTS])
def test_a_rule_asks_for_what_there_is(name):
    labels_of((RECORDED | ALERTS)[name]["expr"])


@pytest.mark.parametrize("name", TARGETS)
def test_a_panel_asks_for_what_there_is(name):
    target = TARGETS[name]

    there = labels_of(target["expr"])
    assert {word.split("}}")[0] for word in target["legendFormat"].split("{{")[1:]} <= there


@pytest.mark.parametrize(
    "mistaken",
    [
        "rate(:tensorflow:serving:requests_count[5m])",
        ':tensorflow:serving:request_count{model="m"}',
        "sum by (model) (:tensorflow:serving:request_count)",
    ],
)
def test_a_mistake_is_found(mistaken):
    with pytest.raises(AssertionError):
        labels_of(mistaken)


@pytest.mark.parametrize("name", RECORDED)
def test_the_name_of_what_is_recorded_says_by_what(name):
    _, grouped = series(parsed(RECORDED[name]["expr"]))

    assert grouped - {"le"} == RECORDED_LABELS[name.split(":")[0]]


def test_an_alert_says_how_grave_it_is_and_what_to_do():
    for name, alert in ALERTS.items():
        assert name.startswith("TFServing")
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "description"}


def test_the_dashboard_is_one():
    panels = DASHBOARD["panels"]

    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len(PANELS) == len(panels)
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert set(variables) == {"datasource", "model", "pod"}
    for panel in panels:
        assert panel["type"] in ("row", "timeseries")
        assert panel.get("datasource", {"uid": "${datasource}"})["uid"] == "${datasource}"


def test_no_panel_hides_another():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not here, which comes with Prometheus")
def test_alerts_fire_when_they_should(tmp_path):
    file = tmp_path / "rules_test.yaml"
    file.write_text(
        Path(__file__).with_name("rules_test.yaml").read_text().replace("RULES", str(MONITORING / "rules.yaml"))
    )
    promtool = str(shutil.which("promtool"))

    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
