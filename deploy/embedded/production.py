"""Nothing embedded runs where TALLYSTICK_ENV says that money is at stake."""

import os
import sys

ALLOWED = ("", "development", "test")


def refuse_production(what: str) -> None:
    """Ends the process when ``TALLYSTICK_ENV`` says production, or something that nobody knows."""
    found = os.environ.get("TALLYSTICK_ENV", "")
    if found not in ALLOWED:
        sys.exit(f"{what} is for development and tests: it does not start with TALLYSTICK_ENV={found}")
