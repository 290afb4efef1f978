"""The end of a month for many accounts: how long their resets take, and what live charges feel of it meanwhile.

An app in test mode has a plan that everybody opens with. So many accounts are opened by a charge each, the app's clock
is put to the 1st, and the ledger's own sweep does the rest; charges to accounts of their own go on all the while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.world import APP, BenchError, Ledger, World

ACCOUNTS = 1_000_000
DATABASE = "reset"
LIMIT_S = 3600.0
_AT_ONCE = 20_000
_CLIENTS = 64
_LIVE_CLIENTS, _LIVE_S = 8, 5.0
_CHARGE = '{"user":"{user}","amount":"1"}'
_CONFIG = {
    "assets": {"credits": {"scale": 0}},
    "allowances": {"free": {"limit": "1000", "default": True}},
    "test_mode": {"clock_start": "2026-01-15T00:00:00Z"},
}


@dataclass(frozen=True, slots=True)
class Reset:
    """Seconds for the resets of so many accounts; milliseconds of charges before and meanwhile."""

    accounts: int
    took_s: float
    alone_p99_ms: float
    meanwhile_p99_ms: float

    def __str__(self) -> str:
        rate = f"{self.accounts:,} accounts in {self.took_s:.1f} s ({self.accounts / self.took_s:,.0f}/s)"
        return f"{rate}; p99 of charges {self.meanwhile_p99_ms:.0f} ms, {self.alone_p99_ms:.0f} ms without it"


def measure(world: World, accounts: int, tell: Callable[[str], None]) -> Reset:
    """One end of a month."""
    ledger = world.ledger(DATABASE)
    answer = ledger.call("PUT", "/v1/config", "admin", json=_CONFIG)
    if answer.status_code not in (200, 201):
        raise BenchError(f"the app {APP} was not applied: {answer.status_code} {answer.text}")
    users = [f"reset-{number:07d}" for number in range(accounts)]
    live = [f"live-{number:03d}" for number in range(100)]
    for first in range(0, accounts, _AT_ONCE):
        part = users[first : first + _AT_ONCE]
        ledger.load("/v1/charges", _CHARGE, part, _CLIENTS, count=len(part))
        tell(f"{first + len(part):,} accounts are open")
    world.settle(ledger.database)
    alone = _live(ledger, live)
    with ThreadPoolExecutor(1) as beside:
        began = time.monotonic()
        moved = ledger.call("PUT", "/v1/test-clock", "admin", json={"now": "2026-02-01T00:00:01Z"})
        if moved.status_code != 200:
            raise BenchError(f"the clock was not moved: {moved.status_code} {moved.text}")
        meanwhile = [beside.submit(_live, ledger, live)]
        while (done := ledger.counters()["ledger_allowance_resets_total"]) < accounts:
            if time.monotonic() - began > LIMIT_S:
                raise BenchError(f"only {done:,.0f} accounts were reset")
            if meanwhile[-1].done():
                meanwhile.append(beside.submit(_live, ledger, live))
            time.sleep(0.05)
        took_s = time.monotonic() - began
        worst = max(each.result() for each in meanwhile)
    return Reset(accounts, took_s, alone, worst)


def _live(ledger: Ledger, users: list[str]) -> float:
    """The p99 of charges for a while, in milliseconds."""
    return ledger.load("/v1/charges", _CHARGE, users, _LIVE_CLIENTS, seconds=_LIVE_S, warm_s=0.5).p99_ms
