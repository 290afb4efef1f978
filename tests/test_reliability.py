"""Reports of trials that share a file, and the figures that times are summed up in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import reliability
from tests.reliability import spread, write_part


def test_trials_that_share_a_report_keep_each_others_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "DIRECTORY", tmp_path / "made")
    write_part("network", "broker", {"restarts": 1})
    write_part("network", "wire", {"cuts": 2})
    write_part("network", "broker", {"restarts": 3})
    report = json.loads((tmp_path / "made" / "network.json").read_text())
    assert {name: report[name] for name in ("broker", "wire")} == {"broker": {"restarts": 3}, "wire": {"cuts": 2}}
    assert report["made_at"].endswith("Z")
    assert report["machine"]["cpus"]


def test_a_spread_names_its_unit() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"count": 3, "p50_s": 2.0, "p99_s": 3.0, "max_s": 3.0}
    assert spread(range(1000), "ms") == {"count": 1000, "p50_ms": 500, "p99_ms": 990, "max_ms": 999}
    assert spread([]) == {"count": 0, "p50_s": 0.0, "p99_s": 0.0, "max_s": 0.0}
