"""`python -m services.codes openapi write|check`: the committed OpenAPI document is the one that is served."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from libs.service.clock import LateClocks
from libs.service.contract import write_or_check
from libs.service.settings import ServiceSettings
from services.codes.app import assemble

FILE = Path(__file__).parents[2] / "docs" / "contracts" / "codes" / "openapi.json"


def application() -> FastAPI:
    """The application with all of its routes, to be described only."""
    return assemble(ServiceSettings(), LateClocks())


def main(verb: str) -> int:
    """Write the document, or say where the committed one differs; the process's exit code."""
    return write_or_check(application(), FILE, verb)
