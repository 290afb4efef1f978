"""Statistics are exactly what a count of the rows by hand is."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from libs.service.clock import format_time
from services.codes.domain.codes import Code, Credits, Terms
from services.codes.domain.redemptions import Redemption
from services.codes.domain.settling import Status
from services.codes.store import campaigns, redemptions, refusals, revenue
from services.codes.store.batches import Batch, insert_batch
from services.codes.store.campaigns import Campaign
from services.codes.store.refusals import RefusalRow
from services.codes.tests.guard.gate import APP, NOW_US, Gate

pytestmark = pytest.mark.anyio
DAY_US = 86_400_000_000
STATUSES: tuple[Status, ...] = ("confirmed", "confirmed", "confirmed", "released", "rolled_back")
BATCHES = ("batch_a", "batch_b", "batch_c", "batch_d")
CAMPAIGNS = ("campaign_a", "campaign_b")
KINDS = ("recharge", "discount", "bonus")


class Trial:
    """Random codes and what became of them, and the same counted by hand."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a trial that can be repeated
        self.codes: list[Code] = []
        self.confirmed: list[Redemption] = []
        self.refused: list[RefusalRow] = []
        self.paid: list[tuple[int, dict[str, int]]] = []

    def moment(self) -> int:
        return NOW_US - self.random.randrange(6 * DAY_US)

    async def fill(self, gate: Gate) -> None:
        r = self.random
        async with gate.core.pool.acquire() as connection:
            for name in CAMPAIGNS:
                await campaigns.insert(connection, Campaign(name, APP, name, None, None, None, NOW_US, "tests"))
            for name in BATCHES:
                await insert_batch(connection, Batch(name, APP, {}, 9, NOW_US, "tests", name=f"Named {name}"), b"")
        for number in range(12):
            limit = r.choice([None, 3, 10])
            code = await gate.make(
                f"TRIAL{number:03d}",
                kind=r.choice(KINDS),
                terms=Terms(credits=Credits(Decimal("2.50"))),
                max_uses=limit,
                redeemed=r.randrange(limit + 1) if limit else r.randrange(5),
                starts_at=r.choice([None, None, NOW_US + 1, NOW_US]),
                ends_at=r.choice([None, None, NOW_US, NOW_US + 2]),
                status=r.choice(["active", "active", "active", "paused", "void"]),
                batch_id=r.choice([None, *BATCHES]),
                campaign_id=r.choice([None, *CAMPAIGNS]),
            )
            self.codes.append(code)
        async with gate.core.pool.acquire() as connection:
            for number in range(60):
                await self._redemption(connection, number)
            for _ in range(40):
                code_id = r.choice([None, *(code.id for code in self.codes)])
                reason = r.choice(["code_expired", "code_used_up"]) if code_id else "code_not_found"
                row = RefusalRow(APP, "eve", reason, "code_not_found", self.moment(), code_id)
                await refusals.insert(connection, row, NOW_US + DAY_US)
                self.refused.append(row)
            for number in range(15):
                await self._order(connection, number)

    async def _redemption(self, connection: Any, number: int) -> None:
        r = self.random
        code = r.choice(self.codes)
        status = r.choice(STATUSES)
        one = Redemption(
            id=f"redemption_{number:04d}",
            app=APP,
            code_id=code.id,
            user_id=f"u{r.randrange(8)}",
            caller="tests",
            kind=code.kind,
            status="reserved",
            reserved_at=NOW_US - 7 * DAY_US,
            checkout=f"order{number}",
            amount=Decimal(r.randrange(1, 500)) / 100,
            discount_minor=r.choice([None, r.randrange(1, 1000)]),
            currency=r.choice(["USD", "EUR"]),
            expires_at=NOW_US,
        )
        await redemptions.put(connection, one)
        ended = replace(one, status=status, ended_at=self.moment())
        await redemptions.update_ended(connection, ended)
        if status == "confirmed":
            self.confirmed.append(ended)

    async def _order(self, connection: Any, number: int) -> None:
        r = self.random
        ids = [one.id for one in r.sample(self.confirmed, r.choice([1, 1, 2, 3]))]
        paid, refunded, at = r.randrange(100, 5000), r.choice([0, 0, 37]), self.moment()
        # A refund may be told of before its payment, and both more than once.
        for _ in range(2):
            await revenue.note(connection, APP, f"o{number}", ids, "USD", refunded_minor=refunded)
            await revenue.note(connection, APP, f"o{number}", ids, "USD", paid_minor=paid, paid_at=at)
        left, shares = paid - refunded, {}
        for place, one in enumerate(ids):
            shares[one] = left // len(ids) + (place < left % len(ids))
        self.paid.append((at, shares))

    def counted(self, by: str | None, key: str, since: int, until: int) -> dict[str, Any]:
        """The statistic of one key, by hand."""
        of = {code.id: code for code in self.codes}
        code_of = {one.id: one.code_id for one in self.confirmed}

        def here(code_id: str | None, at: int) -> bool:
            if not since <= at < until:
                return False
            if by is None:
                return True
            if by == "day":
                return _day(at) == key
            return code_id is not None and key == _key(of[code_id], by)

        found = [one for one in self.confirmed if here(one.code_id, one.ended_at or 0)]
        discounts: dict[str, int] = defaultdict(int)
        for one in found:
            if one.discount_minor is not None:
                discounts[one.currency or ""] += one.discount_minor
        shares = [(one, minor) for at, parts in self.paid for one, minor in parts.items() if here(code_of[one], at)]
        return {
            "redemptions": len(found),
            "users": len({one.user_id for one in found}),
            "credits": sum((one.amount or Decimal(0) for one in found), Decimal(0)),
            "discounts": [{"currency": c, "amount_minor": discounts[c]} for c in sorted(discounts)],
            "revenue": [{"currency": "USD", "amount_minor": sum(minor for _, minor in shares)}] if shares else [],
            "refusals": dict(Counter(row.reason for row in self.refused if here(row.code_id, row.refused_at))),
        }

    def states(self, by: str | None, key: str) -> dict[str, int]:
        """What codes are, by hand."""
        mine = [c for c in self.codes if by is None or key == _key(c, by)]
        return {"total": len(mine), **Counter(_state(code) for code in mine)}


def _key(code: Code, by: str) -> str | None:
    return {"code": code.id, "batch": code.batch_id, "campaign": code.campaign_id, "kind": code.kind}[by]


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d")


def _state(code: Code) -> str:
    if code.status != "active":
        return code.status
    if code.starts_at is not None and code.starts_at > NOW_US:
        return "scheduled"
    if code.ends_at is not None and code.ends_at <= NOW_US:
        return "expired"
    return "used_up" if code.max_uses is not None and code.redeemed >= code.max_uses else "active"


def _without_zeros(states: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in states.items() if number or name == "total"}


@pytest.mark.parametrize("seed", range(3))
async def test_k9_statistics_are_what_is_counted_by_hand(gate: Gate, seed: int) -> None:
    trial = Trial(seed)
    await trial.fill(gate)
    since, until = NOW_US - 4 * DAY_US, NOW_US - DAY_US // 2
    manager = gate.as_("manager")
    for by in (None, "code", "batch", "campaign", "kind", "day"):
        groups: list[dict[str, Any]] = []
        cursor = None
        while True:
            asked = f"from={format_time(since)}&to={format_time(until)}&limit=3" + (f"&by={by}" if by else "")
            answer = await manager.get(f"/statistics?{asked}" + (f"&cursor={cursor}" if cursor else ""))
            groups += answer["data"] if by else [{"key": "", **answer["total"]}]
            cursor = answer["next_cursor"]
            if cursor is None:
                break
        assert len({group["key"] for group in groups}) == len(groups)
        if by in ("batch", "campaign"):
            named = {"batch": {name: f"Named {name}" for name in BATCHES}, "campaign": {n: n for n in CAMPAIGNS}}[by]
            assert {group["key"]: group["label"] for group in groups} == named
            assert 0 < sum(group["redemptions"] for group in groups) <= answer["total"]["redemptions"]
        for group in groups:
            expected = trial.counted(by, group["key"], since, until)
            assert {name: group[name] for name in expected} | {"credits": Decimal(group["credits"])} == expected
            if by == "day":
                assert group["codes"] is None
            else:
                assert _without_zeros(group["codes"]) == trial.states(by, group["key"])
        if by in ("kind", "day"):
            assert sum(group["redemptions"] for group in groups) == answer["total"]["redemptions"] > 0
    uses = [one.code_id for one in trial.confirmed if since <= (one.ended_at or 0) < until]
    assert [one["redemptions"] for one in answer["most_used"]] == sorted(Counter(uses).values(), reverse=True)[:10]


async def test_all_groups_come_as_a_file(gate: Gate) -> None:
    trial = Trial(9)
    await trial.fill(gate)
    answer = await gate.as_("manager").send("GET", "/statistics?by=kind&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["key"] for row in rows] == sorted({code.kind for code in trial.codes})
    assert sum(int(row["redemptions"]) for row in rows) == len(trial.confirmed)
    assert sum(int(row["total"]) for row in rows) == len(trial.codes)


async def test_an_app_without_codes_has_zeros(gate: Gate) -> None:
    answer = await gate.as_("manager").get("/statistics?by=day")
    assert (answer["total"]["codes"]["total"], answer["total"]["usage_rate"], answer["data"]) == (0, None, [])
