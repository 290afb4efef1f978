"""The configuration of Prometheus and Alertmanager is valid, tested alert by alert, and leads to a page that helps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.material import (
    PROMETHEUS,
    PROMTOOL_TESTS,
    ROOT,
    RUNBOOKS,
    Rule,
    alerts,
    known_metrics,
    metrics_in,
    rule_files,
    rules,
    run,
    tool,
)

ALERTS = [pytest.param(rule, id=rule.alert) for rule in alerts()]
SECTIONS = ["What it means", "What users notice", "Look", "Do", "Escalate", "It is over when"]


def test_the_configuration_of_prometheus_is_valid() -> None:
    run(tool("promtool"), "check", "config", PROMETHEUS / "prometheus.yml")


def test_the_rules_are_valid() -> None:
    run(tool("promtool"), "check", "rules", *rule_files())


@pytest.mark.parametrize("path", sorted(PROMTOOL_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_for_their_reason_only(path: Path) -> None:
    run(tool("promtool"), "test", "rules", path)


def test_the_configuration_of_alertmanager_is_valid() -> None:
    run(tool("amtool"), "check-config", PROMETHEUS / "alertmanager.yml")


def test_alertmanager_routes_every_severity_and_silences_only_alerts_that_exist() -> None:
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    names = {rule.alert for rule in alerts()}
    matchers = [text for route in config["route"]["routes"] for text in route["matchers"]]
    matchers += [text for rule in config["inhibit_rules"] for text in rule["source_matchers"] + rule["target_matchers"]]
    for matcher in matchers:
        label, value = re.fullmatch(r'(\w+) =~? "(.+)"', matcher).groups()  # type: ignore[union-attr]
        if label == "alertname":
            for alternative in value.split("|"):
                assert any(re.fullmatch(alternative, name or "") for name in names), matcher
    assert 'severity = "page"' in matchers
    receivers = {receiver["name"] for receiver in config["receivers"]}
    assert {config["route"]["receiver"], *(route["receiver"] for route in config["route"]["routes"])} == receivers


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_says_how_bad_what_how_much_and_where_to_read_on(rule: Rule) -> None:
    notes = rule.body["annotations"]
    assert rule.body["labels"]["severity"] in {"page", "ticket"}
    assert notes["summary"]
    assert "$value" in notes["description"]
    assert notes["runbook_url"] == f"docs/runbooks/{rule.alert}.md"
    assert (ROOT / notes["runbook_url"]).is_file()


@pytest.mark.parametrize("rule", ALERTS)
def test_an_alert_is_shown_to_fire_and_to_keep_quiet(rule: Rule) -> None:
    outcomes: set[bool] = set()
    for path in PROMTOOL_TESTS.glob("*.yml"):
        tests: list[dict[str, Any]] = yaml.safe_load(path.read_text())["tests"]
        for case in (case for test in tests for case in test["alert_rule_test"]):
            if case["alertname"] == rule.alert:
                outcomes.add(bool(case["exp_alerts"]))
    assert outcomes == {True, False}


@pytest.mark.parametrize("rule", ALERTS)
def test_a_runbook_page_has_the_same_parts_as_all_and_is_in_the_index(rule: Rule) -> None:
    page = (RUNBOOKS / f"{rule.alert}.md").read_text()
    assert page.startswith(f"# {rule.alert}\n")
    assert f"Severity: {rule.body['labels']['severity']}." in page
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    assert f"({rule.alert}.md)" in (RUNBOOKS / "README.md").read_text()


def test_every_runbook_page_belongs_to_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == {rule.alert for rule in alerts()}


def test_links_in_runbooks_lead_somewhere() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_rules_read_only_metrics_that_are_documented_or_recorded() -> None:
    recorded = {rule.body["record"] for rule in rules() if not rule.alert}
    for rule in rules():
        unknown = metrics_in(rule.body["expr"]) - known_metrics() - recorded
        assert not unknown, f"{rule.file}: {rule.alert or rule.body['record']}"


def test_names_of_alerts_are_unique() -> None:
    names = [rule.alert for rule in alerts()]
    assert len(names) == len(set(names))
