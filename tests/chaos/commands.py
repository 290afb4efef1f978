"""Random commands to a ledger in this process, and what must be true of them in the end, whatever broke meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.ledger import metrics
from services.ledger.rebuild import rebuild
from services.ledger.requests import Answer
from services.ledger.tests.support import Ledger
from services.ledger.verify.run import verify
from services.ledger.writer.leader import LeaseTimes
from tests.plugins.postgres import Database

WORKERS = 8
STEADY = LeaseTimes(renew_s=0.5, answer_s=3.0, stale_s=3.75, poll_s=0.02, silent_s=0.5)
"""Leases that are kept on a busy machine too, and quicker than the usual ones in noticing a silent append."""


@dataclass(slots=True)
class Asked:
    """A command that was answered: how it was sent, and what came back."""

    name: str
    user: str
    key: str
    fields: dict[str, Any]
    status: int
    body: bytes


@dataclass
class Callers:
    """Eight callers, each with two users of its own whom it charges, pays and so on one after another."""

    seed: int
    asked: list[Asked] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    """When an answer came, monotonic seconds."""

    async def run(self, ledger: Ledger, count: int) -> None:
        """Send `count` commands, each until it is answered. Each caller goes on while others wait."""
        share = [count // WORKERS + (number < count % WORKERS) for number in range(WORKERS)]
        tasks = [asyncio.create_task(self._caller(ledger, number, share[number])) for number in range(WORKERS)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _caller(self, ledger: Ledger, number: int, count: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311
        users = [f"user{number}a", f"user{number}b"]
        made: dict[str, list[str]] = {"charge": [], "hold": [], "grant": []}
        before = len(self.asked)
        for turn in range(count):
            name, user, fields = self._choose(chance, users, made)
            key = f"{self.seed}-{before}-{number}-{turn}"
            answer = await ledger.send(ledger.request(name, user, key=key, **fields))
            self.note(Asked(name, user, key, fields, answer.status, answer.body))
            if answer.status < 400 and name in made:
                made[name].append(orjson.loads(answer.body)["id"])

    def note(self, one: Asked) -> None:
        """An answer has come."""
        self.asked.append(one)
        self.answered_at.append(time.monotonic())

    @staticmethod
    def _choose(chance: random.Random, users: list[str], made: dict[str, list[str]]) -> tuple[str, str, dict[str, Any]]:
        user, amount = chance.choice(users), chance.randrange(1, 60)
        name = chance.choices(
            ["grant", "charge", "hold", "charge.refund", "hold.capture", "hold.release", "grant.revoke", "transfer"],
            [4, 5, 3, 1, 2, 1, 1, 1],
        )[0]
        target = {"charge.refund": "charge", "hold.capture": "hold", "hold.release": "hold", "grant.revoke": "grant"}
        if name in target:
            word = target[name]
            if not made[word]:
                return "grant", user, {"amount": amount}
            # Often one that is resolved or refunded already: a refusal is an answer, too.
            fields: dict[str, Any] = {word: chance.choice(made[word][-4:])}
            return name, "", {**fields, "policy": "debt"} if name == "grant.revoke" else fields
        if name == "transfer":
            return name, user, {"to_user": users[user == users[0]], "amount": amount}
        return name, user, {"amount": amount}

    def recoveries(self, since: list[float]) -> list[float]:
        """From each of these moments on, how long nobody was answered (seconds); those after the last answer, none."""
        times = sorted(self.answered_at)
        found = []
        for moment in since:
            after = next((one for one in times if one > moment), None)
            if after is not None:
                found.append(after - moment)
        return found

    async def check(self, ledger: Ledger, books: Database) -> int:
        """Everything that was answered stands, is told again byte for byte, and the books are whole.

        How many answers were checked. The invariants: I1 to I6 by `verify`, I5 by a rebuild, I6 by repeating each
        command, I7 by every one being answered, I9 by the order in which one caller's commands lie in the log.
        """
        rows = await ledger.pool.fetch(
            "SELECT key, status, body FROM results WHERE caller = 'tests' AND key = ANY ($1)",
            [one.key for one in self.asked],
        )
        stored = {row["key"]: (row["status"], bytes(row["body"])) for row in rows}
        assert stored == {one.key: (one.status, one.body) for one in self.asked}
        assert len(stored) == len(self.asked)
        for one in self.asked:
            again: Answer = await ledger.send(ledger.request(one.name, one.user, key=one.key, **one.fields))
            assert (again.status, again.body, again.replayed) == (one.status, one.body, True), one
        transactions = await ledger.pool.fetch(
            "SELECT idempotency_key AS key, count(DISTINCT transaction_id) AS count FROM events"
            " WHERE idempotency_key = ANY ($1) GROUP BY 1",
            [one.key for one in self.asked],
        )
        assert {row["count"] for row in transactions} <= {1}
        done = [one.key for one in self.asked if one.status < 400]
        assert {row["key"] for row in transactions} == set(done)
        await self._check_order(ledger)
        found = await verify(books.runtime_dsn)
        assert found.violations == []
        assert (await rebuild(books.owner_dsn)).difference_count == 0
        return len(self.asked)

    async def _check_order(self, ledger: Ledger) -> None:
        """One caller waits for each answer, so that its commands on a partition lie there in the order of sending."""
        turn = {one.key: number for number, one in enumerate(self.asked)}
        rows = await ledger.pool.fetch(
            "SELECT partition, idempotency_key AS key FROM events WHERE idempotency_key = ANY ($1)"
            " ORDER BY partition, position",
            list(turn),
        )
        last: dict[tuple[int, str], int] = {}
        for row in rows:
            place = (row["partition"], row["key"].split("-")[2])
            assert last.get(place, -1) <= turn[row["key"]], row
            last[place] = turn[row["key"]]


class Failures:
    """How many appends have failed in which way since this was made, as the metrics say."""

    def __init__(self) -> None:
        self._before = self._read()

    @staticmethod
    def _read() -> Counter[str]:
        return Counter(
            {
                sample.labels["kind"]: int(sample.value)
                for metric in metrics.APPEND_FAILURES.collect()
                for sample in metric.samples
                if sample.name.endswith("_total")
            }
        )

    def since(self) -> Counter[str]:
        """By kind."""
        return self._read() - self._before
