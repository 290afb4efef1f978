"""The compose file as the tests read it: with its variables filled in from one place."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:[-?])?(?P<word>[^}]*)\}")


def compose(**values: str) -> dict[str, Any]:
    """The file with its variables replaced by these values, else by their defaults."""

    def value(found: re.Match[str]) -> str:
        default = found["word"] if found["operator"] == ":-" else ""
        return values.get(found["name"], default)

    loaded: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, TEXT).replace("$$", "$"))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found
