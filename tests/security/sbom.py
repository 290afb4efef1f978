"""What the product is made of, as CycloneDX JSON: `python -m tests.security.sbom` writes `build/sbom.json`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.security.lock import LOCK, ROOT, locked

SBOM = ROOT / "build" / "sbom.json"


def write_sbom(target: Path = SBOM) -> Path:
    """List every package of the runtime lock with its version and its hashes; checked against CycloneDX's schema."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", str(LOCK)),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--short-PURLs", "--output-reproducible", "--validate"),
            *("--output-format", "JSON", "--output-file", str(target)),
        ],
        check=True,
        cwd=ROOT,
    )
    return target


if __name__ == "__main__":
    print(f"{write_sbom()}: {len(locked())} packages")
