"""What is done with guesses and refusals after the request: they are told, and forgotten; and what is still open."""

from __future__ import annotations

from libs.events.contracts.codes.events import GuessingSuspected, RedemptionRefused
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US
from services.codes import metrics
from services.codes.core import ANYBODY, SOURCE, Core
from services.codes.handlers.telling import time_text
from services.codes.store import guessing, refusals, waiting

CHUNK = 500
WINDOW_S_MAX = 86_400
"""The longest window that an app may configure; older ones can be forgotten."""

_CAUSE = Cause(actor=f"service:{SOURCE}")


async def suspect(core: Core) -> int:
    """Tell of every window with too many misses, once; how many were told."""
    told = 0
    for window in await guessing.windows(core.pool, core.clock.now_us() - 2 * WINDOW_S_MAX * SECOND_US):
        alarm = core.configs.get(window.app).document.codes.guessing.alarm
        if window.misses < alarm.misses:
            continue
        async with core.pool.acquire() as connection, connection.transaction():
            if not await guessing.raise_alarm(connection, window):
                continue
            event = GuessingSuspected(misses=window.misses, since=time_text(window.window_at), window_s=alarm.window_s)
            await core.outbox.add(connection, event, app=window.app, user=ANYBODY, cause=_CAUSE)
        metrics.SUSPICIONS.inc()
        told += 1
    return told


async def tell_refusals(core: Core) -> int:
    """Tell of refused codes that were not told yet, at most `CHUNK`; how many.

    They are told from here and not in the request, because a refusal of a code that is hidden from the caller must not
    take longer than that of one that does not exist.
    """
    async with core.pool.acquire() as connection, connection.transaction():
        rows = await refusals.lock_untold(connection, CHUNK)
        for row in rows:
            event = RedemptionRefused(
                reason=row.reason,
                answered=row.answered,
                code=row.code_id,
                checkout=row.checkout,
                refused_at=time_text(row.refused_at),
            )
            await core.outbox.add(connection, event, app=row.app, user=row.user, cause=_CAUSE)
        await refusals.mark_told(connection, [row.id for row in rows])
    return len(rows)


async def show_open(core: Core) -> None:
    """Show how many reservations are open, how long the oldest things have waited, and who paid for nothing."""
    found = await waiting.read(core.pool)
    metrics.OPEN.set(found.reservations)
    metrics.UNSETTLED.set(found.oldest_command_s)
    metrics.BATCH.set(found.oldest_batch_s)
    metrics.UNGRANTED.set(found.ungranted)


async def forget_old(core: Core) -> int:
    """Forget guessers and refusals whose time has come, at most `CHUNK` of each; how many."""
    now_us = core.clock.now_us()
    guessers = await guessing.forget(core.pool, now_us, now_us - 2 * WINDOW_S_MAX * SECOND_US, CHUNK)
    return guessers + await refusals.forget(core.pool, now_us, CHUNK)
