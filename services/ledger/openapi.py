"""`python -m services.ledger openapi write|check`: the committed OpenAPI document is the one that is served."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path

from fastapi import FastAPI

from libs.service.clock import LateClocks
from libs.service.settings import ServiceSettings
from services.ledger.app import assemble

FILE = Path(__file__).parents[2] / "docs" / "contracts" / "ledger" / "openapi.json"


def application() -> FastAPI:
    """The application with all of its routes, to be described only."""
    return assemble(ServiceSettings(), LateClocks())


def document() -> str:
    """The document as it is committed."""
    return json.dumps(application().openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main(verb: str) -> int:
    """Write the document, or say where the committed one differs; the process's exit code."""
    wanted = document()
    if verb == "write":
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(wanted, encoding="utf-8")
        return 0
    present = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    sys.stdout.writelines(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(FILE), "served"))
    return int(present != wanted)
