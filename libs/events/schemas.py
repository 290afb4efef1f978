"""JSON Schemas and an AsyncAPI document of every service, generated from the contracts and committed.

    python -m libs.events.schemas write   # refuses what would break a reader of the committed version
    python -m libs.events.schemas check   # exit code 1 on any difference, with what it breaks

Files: `docs/contracts/<service>/schemas/<type>.json` and `docs/contracts/<service>/asyncapi.json`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from libs.events import contracts, dead_letters
from libs.events.asyncapi import asyncapi
from libs.events.compatibility import breaks
from libs.events.contracts.base import Contract, registered

ROOT = Path(__file__).parents[2] / "docs" / "contracts"

Document = dict[str, Any]


def load_contracts() -> None:
    """Import all contracts, so that the registry is complete."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"{contracts.__name__}.{module.name}")
    importlib.import_module(dead_letters.__name__)


def schema_of(model: type[Contract]) -> Document:
    """The JSON Schema (2020-12) of a message's payload. That of an event is open: fields may be added to it."""
    schema = model.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{model.TYPE}.json",
        **(_open(schema) if model.KIND == "event" else schema),
        "title": model.TYPE,
    }


def _open(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            name: _open(value)
            for name, value in schema.items()
            if not (name == "additionalProperties" and value is False)
        }
    return [_open(value) for value in schema] if isinstance(schema, list) else schema


def generate(services: Sequence[str]) -> dict[Path, Document]:
    """All documents of these services by their path below `docs/contracts`."""
    documents: dict[Path, Document] = {}
    for service in services:
        models = list(registered(service))
        for model in models:
            documents[Path(service, "schemas", f"{model.TYPE}.json")] = schema_of(model)
        documents[Path(service, "asyncapi.json")] = asyncapi(service, models)
    return documents


def services() -> list[str]:
    """The services that have contracts of their own."""
    load_contracts()
    # Tests register contracts of services that do not exist.
    homes = {module.name for module in pkgutil.iter_modules(contracts.__path__)} | {"tallystick"}
    return sorted({model.TYPE.partition(".")[0] for model in registered()} & homes)


def render(document: Mapping[str, Any]) -> str:
    """The text of a document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differences(root: Path, documents: Mapping[Path, Document]) -> Iterator[str]:
    """Sentences on what is committed under `root` and is not what the contracts generate."""
    for path, document in documents.items():
        committed = root / path
        if not committed.exists():
            yield f"{path} is not committed"
        elif committed.read_text(encoding="utf-8") != render(document):
            yield f"{path} differs"
    for stray in root.glob("*/schemas/*.json"):
        if stray.relative_to(root) not in documents:
            yield f"{stray.relative_to(root)} has no contract any more"


def broken(root: Path, documents: Mapping[Path, Document]) -> Iterator[str]:
    """Sentences on what would break readers of the committed versions under `root`."""
    kinds = {f"{model.TYPE}.json": model.KIND for model in registered()}
    for committed in sorted(root.glob("*/schemas/*.json")):
        path = committed.relative_to(root)
        new = documents.get(path)
        if new is None:
            yield f"{path}: the contract was removed; a type that was ever written must be read for ever"
            continue
        old = json.loads(committed.read_text(encoding="utf-8"))
        yield from (f"{path}: {reason}" for reason in breaks(old, new, kinds[path.name]))


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write or check; the exit code is 0 or 1."""
    parser = argparse.ArgumentParser(prog="python -m libs.events.schemas", description=__doc__)
    parser.add_argument("do", choices=["write", "check"])
    wish = parser.parse_args(arguments).do
    documents = generate(services())
    problems = list(broken(root, documents))
    if wish == "check":
        problems += differences(root, documents)
    for problem in problems:
        sys.stderr.write(problem + "\n")
    if problems:
        return 1
    if wish == "write":
        for path, document in documents.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(render(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
