"""Makes a deployment's signing keys where there are none: ``python -m deploy.keys FOLDER[,FOLDER...] JWKS_FILE [...]``.

Each file of public keys is for one purpose, so that what is signed for one is not taken for another: tokens, anchors.
Whoever signs has a folder of its own: the command line, and services that ask others.
"""

import sys
from pathlib import Path

from libs.service.keys import ensure_keys, write_jwks

_USAGE = 2


def main() -> None:
    """Takes pairs: folders of private keys, with commas between them, and the file of public ones."""
    places = sys.argv[1:]
    if not places or len(places) % 2:
        print("usage: python -m deploy.keys FOLDER[,FOLDER...] JWKS_FILE [...]", file=sys.stderr)
        raise SystemExit(_USAGE)
    for folders, jwks_file in zip(places[::2], places[1::2], strict=True):
        directories = [Path(folder) for folder in folders.split(",")]
        for directory in directories:
            print(f"The signing key is {ensure_keys(directory, Path(jwks_file))}; its public half is in {jwks_file}")
        write_jwks(directories[0], Path(jwks_file), *directories[1:])


if __name__ == "__main__":
    main()
