"""What Prometheus and Grafana are given, read as data, and promtool to judge it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RUNBOOKS = ROOT / "docs" / "runbooks"
METRICS = ROOT / "docs" / "metrics.md"
PROMTOOL_TESTS = Path(__file__).parent / "prometheus"

# Words of PromQL that look like metrics; functions are known by the parenthesis that follows.
_KEYWORDS = frozenset({"and", "or", "unless", "offset", "bool"})
_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.$])([A-Za-z_:][\w:]*)(?!\w)(?!\s*\()")


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert or recording rule and the file that holds it."""

    file: str
    body: dict[str, Any]

    @property
    def alert(self) -> str | None:
        """The alert's name; None for a recording rule."""
        return self.body.get("alert")


def rule_files() -> list[Path]:
    """All files of rules, in order of their names."""
    return sorted((PROMETHEUS / "rules").glob("*.yml"))


def rules() -> list[Rule]:
    """Every rule of every file."""
    return [
        Rule(path.name, body)
        for path in rule_files()
        for group in yaml.safe_load(path.read_text())["groups"]
        for body in group["rules"]
    ]


def alerts() -> list[Rule]:
    """The rules that alert."""
    return [rule for rule in rules() if rule.alert]


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {path.name: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something: all but the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def documented_metrics() -> dict[str, tuple[str, frozenset[str]]]:
    """Type and labels of every metric in the tables of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", METRICS.read_text(), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def known_metrics() -> set[str]:
    """Names of the series of documented metrics: a histogram has three."""
    names: set[str] = set()
    for name, (kind, _) in documented_metrics().items():
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def metrics_in(expression: str) -> set[str]:
    """Names of the series that a PromQL expression reads."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = _LISTS.sub("", bare)
    return {name for name in _NAME.findall(bare) if name not in _KEYWORDS}


def tool(name: str) -> str:
    """Path of a tool of Prometheus or Alertmanager. CI must have it, a laptop need not."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (apt-get install prometheus prometheus-alertmanager)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def run(*command: str | Path) -> None:
    """Run a checking tool; what it printed is the failure's message."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
