"""Found by Python at its start when a trial puts this folder on `PYTHONPATH`; does nothing unless a bug is named."""

import os
import sys
from pathlib import Path

if os.environ.get("SEEDED_BUG"):
    sys.path.append(str(Path(__file__).parents[3]))
    from tests.bugs.catalogue import BY_NAME
    from tests.bugs.loading import install

    install(BY_NAME[os.environ["SEEDED_BUG"]])
