"""Doing several things at once until one of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run these side by side until the first ends; the others are cancelled. Raises what the first that failed raised.

    Not a `TaskGroup`: on Python 3.11 one that is winding up after a failure swallows the cancellation of its parent,
    and what tries again after failures then never stops.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
