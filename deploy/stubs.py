"""The definition of the ledger's gRPC and the code that is made of it, for clients and for the ledger itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from services.ledger.grpc_api.proto import FILE, definition

DEFINITIONS = "proto"
CODE = "libs/client"
_PACKAGES = {
    "tallystick/ledger/__init__.py": '"""The services of Tallystick over gRPC: the ledger."""\n',
    "tallystick/ledger/v1/__init__.py": '"""Messages (`ledger_pb2`) and the stub (`ledger_pb2_grpc`)."""\n',
}


def pages(root: Path) -> Mapping[str, str]:
    """The definition and its code, by their paths: what they would be now. ImportError without the compiler."""
    old = root / DEFINITIONS / FILE
    text = definition(old.read_text() if old.exists() else "")
    return {f"{DEFINITIONS}/{FILE}": text, **_compiled(text)}


def _compiled(text: str) -> dict[str, str]:
    from grpc_tools import protoc

    with TemporaryDirectory() as folder:
        place = Path(folder)
        source = place / "in" / FILE
        source.parent.mkdir(parents=True)
        source.write_text(text)
        out = place / "out"
        out.mkdir()
        plugins = [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
        for kind in ("mypy", "mypy_grpc"):
            plugins += [f"--plugin={Path(sys.executable).with_name(f'protoc-gen-{kind}')}", f"--{kind}_out=quiet:{out}"]
        well_known = str(files("grpc_tools") / "_proto")
        if protoc.main(["protoc", f"-I{place / 'in'}", f"-I{well_known}", *plugins, str(source)]) != 0:
            raise ValueError(f"{FILE} cannot be compiled")
        made = {f"{CODE}/{found.relative_to(out)}": found.read_text() for found in sorted(out.rglob("*.py*"))}
    return {**made, **{f"{CODE}/{name}": text for name, text in _PACKAGES.items()}}
