"""Makes a deployment's signing keys where there are none: ``python -m deploy.keys FOLDER JWKS_FILE [...]``.

Each folder of private keys has its own file of public ones, so that what is signed by one is not taken for another:
tokens are signed by the command line alone, anchors by the ledger.
"""

import sys
from pathlib import Path

from libs.service.keys import ensure_keys

_USAGE = 2


def main() -> None:
    """Takes pairs: a folder of private keys and the file of public ones."""
    places = [Path(argument) for argument in sys.argv[1:]]
    if not places or len(places) % 2:
        print("usage: python -m deploy.keys FOLDER JWKS_FILE [FOLDER JWKS_FILE ...]", file=sys.stderr)
        raise SystemExit(_USAGE)
    for directory, jwks_file in zip(places[::2], places[1::2], strict=True):
        print(f"The signing key is {ensure_keys(directory, jwks_file)}; its public half is in {jwks_file}")


if __name__ == "__main__":
    main()
