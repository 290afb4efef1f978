"""The dashboards load in Grafana as they are, ask only what Prometheus can answer, and explain themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.material import GRAFANA, dashboards, known_metrics, metrics_in, panels, rules, run, tool

# Panels that Grafana itself brings; anything else would need a plugin.
BUILT_IN = {"timeseries", "stat", "row"}
DASHBOARDS = [pytest.param(dashboard, id=name) for name, dashboard in dashboards().items()]
# Links and bookmarks name these for ever.
UIDS = {f"{name}.json": f"tallystick-{name}" for name in ("codes", "events", "ledger", "meter")}


def _expressions(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    return asked + [note["expr"] for note in dashboard["annotations"]["list"] if "expr" in note]


def test_uids_of_dashboards_stay() -> None:
    assert {name: dashboard["uid"] for name, dashboard in dashboards().items()} == UIDS


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_panel_has_a_title_a_description_a_unit_and_a_place_of_its_own(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["type"] in BUILT_IN
        assert panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels(dashboard):
        assert panel["description"].endswith((".", "%.")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_query_goes_to_the_chosen_data_source(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    assert variables["datasource"] == "datasource"
    for panel in panels(dashboard):
        assert panel["targets"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_dashboards_read_only_metrics_that_are_documented_or_recorded(dashboard: dict[str, Any]) -> None:
    known = known_metrics() | {rule.body["record"] for rule in rules() if not rule.alert}
    for expression in _expressions(dashboard):
        assert metrics_in(expression) <= known, expression


@pytest.mark.parametrize("dashboard", DASHBOARDS)
def test_every_query_is_valid_promql(dashboard: dict[str, Any], tmp_path: Path) -> None:
    # Rules are what promtool can check; Grafana fills its variable in before it asks.
    recorded = [
        {"record": f"query:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(_expressions(dashboard))
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    run(tool("promtool"), "check", "rules", path)


def test_what_is_provisioned_is_the_data_source_and_the_folder_of_the_dashboards() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    assert [source["type"] for source in sources["datasources"]] == ["prometheus"]
    providers = yaml.safe_load((GRAFANA / "provisioning/dashboards/tallystick.yml").read_text())
    assert [provider["type"] for provider in providers["providers"]] == ["file"]
