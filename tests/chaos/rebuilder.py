"""A rebuild with its swap as a process of its own, with failpoints: `python -m tests.chaos.rebuilder`."""

from __future__ import annotations

import asyncio
import os
import time

import asyncpg

from libs.events import failpoints
from services.ledger.rebuild import rebuild
from services.ledger.store.rebuild_tables import RebuildRunningError

PATIENCE_S = 30.0


async def main() -> None:
    """Rebuild once; one that was killed may still be leaving the database, or somebody may be reading a table."""
    failpoints.arm(os.environ.get("TALLYSTICK_FAILPOINTS", ""))
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            outcome = await rebuild(os.environ["TRIAL_OWNER_DSN"], swap=True)
        except (RebuildRunningError, asyncpg.LockNotAvailableError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
        else:
            print(f"{outcome.events} events, {outcome.difference_count} differences", flush=True)
            assert not outcome.difference_count, outcome.differences[0]
            return


if __name__ == "__main__":
    asyncio.run(main())
