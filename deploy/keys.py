"""Makes a deployment's signing key if there is none: ``python -m deploy.keys FOLDER JWKS_FILE``.

Only the command line reads the private key; services get the public file alone.
"""

import sys
from pathlib import Path

from libs.service.keys import ensure_keys


def main() -> None:
    """Takes the folder of private keys and the file of public ones."""
    directory, jwks_file = map(Path, sys.argv[1:])
    print(f"The signing key is {ensure_keys(directory, jwks_file)}; its public half is in {jwks_file}")


if __name__ == "__main__":
    main()
