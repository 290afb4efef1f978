"""What the product is made of is listed whole, and an audit that could not be made is never taken for a good one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.security.audit import FOUND, UNKNOWN, judge
from tests.security.lock import locked
from tests.security.sbom import write_sbom

EXPECTED = {"fastapi": "1.0", "uvicorn": "2.0"}


def package(name: str, *faults: str) -> dict[str, Any]:
    return {"name": name, "version": EXPECTED[name], "vulns": [{"id": fault} for fault in faults]}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "Dependency could not be audited"}


def test_the_bill_of_materials_lists_the_whole_lock(tmp_path: Path) -> None:
    bill = json.loads(write_sbom(tmp_path / "sbom.json").read_text())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "tallystick-suite")
    listed = {component["name"].lower().replace("_", "-"): component for component in bill["components"]}
    assert {name: component["version"] for name, component in listed.items()} == locked()
    for name, component in listed.items():
        hashes = [each for source in component["externalReferences"] for each in source.get("hashes", ())]
        assert hashes, name
        assert all(each["alg"] == "SHA-256" for each in hashes)
        assert component["purl"] == f"pkg:pypi/{component['name'].lower()}@{component['version']}", component["purl"]


def test_an_audit_is_good_only_when_it_knew_every_package() -> None:
    assert judge({"dependencies": [package("fastapi"), package("uvicorn")]}, EXPECTED)[0] == 0
    code, said = judge({"dependencies": [package("fastapi"), skipped("uvicorn")]}, EXPECTED)
    assert (code, len(said)) == (UNKNOWN, 1)
    assert "1 of 2 packages (uvicorn)" in said[0]
    assert judge({"dependencies": [package("fastapi")]}, EXPECTED)[0] == UNKNOWN
    assert judge({}, EXPECTED)[0] == UNKNOWN


def test_a_known_weakness_is_named() -> None:
    code, said = judge({"dependencies": [package("fastapi", "CVE-1", "CVE-2"), skipped("uvicorn")]}, EXPECTED)
    assert code == FOUND
    assert said[0] == "known weaknesses of fastapi 1.0: CVE-1, CVE-2"
    assert len(said) == 2
