"""The ledger's real writer in a test's own process, on a real database, given commands by name."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

import orjson

from libs.service.clock import ManualClock, from_datetime
from libs.service.db import Connection, Pool, connect, create_pool
from libs.service.problems import Problem
from services.ledger.app import STATEMENT_TIMEOUT_MS
from services.ledger.domain import codec
from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.config import ConfigDocument
from services.ledger.domain.decide.transfers import credit_for
from services.ledger.requests import Answer, ApplyConfig, CompleteReset, Cursor, Door, Request, SettleTransfer, Text
from services.ledger.store import setup
from services.ledger.store.reads import latest_configs
from services.ledger.writer.engine import Writer
from services.ledger.writer.leader import Leader, LeaseTimes
from services.ledger.writer.log import APP_ACCOUNT
from services.ledger.writer.surroundings import Limits
from tests.plugins.postgres import Database

APP = "coins"
PARTITIONS = 4
SHARD = "0"
DOCUMENT: dict[str, Any] = {"assets": {"coins": {"scale": 0}}}
DEADLINE_S = 20.0

COMMANDS: dict[str, type[cmd.Command]] = {
    "grant": cmd.Grant,
    "grant.revoke": cmd.Revoke,
    "charge": cmd.Charge,
    "charge.refund": cmd.Refund,
    "hold": cmd.CreateHold,
    "hold.capture": cmd.CaptureHold,
    "hold.extend": cmd.ExtendHold,
    "hold.release": cmd.ReleaseHold,
    "transfer": cmd.Transfer,
    "transfer.credit": cmd.CreditTransfer,
    "transfer.refuse": SettleTransfer,
    "transfer.return": cmd.ReturnTransfer,
    "adjustment": cmd.Adjust,
    "action": cmd.Act,
    "account.freeze": cmd.Freeze,
    "account.unfreeze": cmd.Unfreeze,
    "account.close": cmd.Close,
    "account.change": cmd.ChangeAccount,
    "account.budgets": cmd.SetBudgets,
    "account.plan": cmd.AssignPlan,
    "operation.import": cmd.ImportOperation,
    "account.reset": cmd.ResetAllowance,
    "account.erase": cmd.Erase,
    "sweep": cmd.Sweep,
    "reset.complete": CompleteReset,
    "config": ApplyConfig,
}
_TARGETS = {
    "grant.revoke": "grant",
    "charge.refund": "charge",
    "hold.capture": "hold",
    "hold.extend": "hold",
    "hold.release": "hold",
}
"""Commands whose account is found by the id of what they are about, and the field that holds it."""


async def prepare(database: Database, partitions: int = PARTITIONS) -> None:
    """Make an empty database a ledger's: its tables, so many partitions, one shard."""
    await setup.prepare(database.owner_dsn, database.runtime, partitions, [SHARD])


class WallClock(ManualClock):
    """Its time of day stands still until it is moved; leases go by the machine's own monotonic clock."""

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return monotonic()


@dataclass(slots=True)
class Done:
    """What came of a command: status and body as its caller sees them."""

    status: int
    body: dict[str, Any]
    replayed: bool = False

    @property
    def id(self) -> str:
        """The id of what was made."""
        return str(self.body["id"])


@dataclass
class Ledger:
    """A running writer. Time stands still until `clock` is moved."""

    dsn: str
    pool: Pool
    clock: WallClock
    leader: Leader
    app_times: dict[str, int]
    """Clocks of apps in test mode, microseconds."""
    numbers: Any = field(default_factory=count)
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    """Of this run: the keys of another on the same books are others."""

    async def writer(self) -> Writer:
        """The writer, waited for while its lease is on its way."""
        deadline = monotonic() + DEADLINE_S
        while self.leader.writer is None:
            assert monotonic() < deadline, "the writer does not come"
            await asyncio.sleep(0.005)
        return self.leader.writer

    async def configure(self, app: str = APP, **document: Any) -> Done:
        """Apply a configuration; `DOCUMENT` with these keys over it."""
        parsed = ConfigDocument.model_validate({**DOCUMENT, **document})
        done = await self.do("config", APP_ACCOUNT, app=app, document=parsed)
        assert done.status == 200, done
        return done

    def request(
        self,
        name: str,
        user: str = "",
        /,
        *,
        app: str = APP,
        asset: str | None = None,
        key: str | None = None,
        caller: str = "tests",
        door: Door = "http",
        text: str | None = None,
        cursor: Cursor | None = None,
        reference: str | None = None,
        unique_ref: str | None = None,
        reason: str | None = None,
        member: str | None = None,
        **fields: Any,
    ) -> Request:
        """A command as a door would hand it over. Amounts are units, times microseconds; each has a key of its own."""
        salted = None if text is None else Text(os.urandom(16), text)
        digest = None if salted is None else hashlib.sha256(salted.salt + salted.body.encode()).hexdigest()
        if name == "hold":
            fields.setdefault("role", "service")
        labels = cmd.Labels(reference, unique_ref, reason, member, digest, caller)
        number = next(self.numbers)
        print_of = hashlib.sha256(repr((name, user, app, asset, sorted(fields.items()))).encode()).digest()
        target = fields.get(_TARGETS.get(name, ""))
        transfer = fields.get("transfer")
        return Request(
            app=app,
            user="" if target is not None else user,
            asset=asset,
            type=name,
            build=lambda _scale: COMMANDS[name](labels=labels, **fields),
            caller=caller,
            key=f"key-{self.name}-{number}" if key is None else key,
            fingerprint=print_of,
            unique_fingerprint=print_of,
            actor=caller,
            door=door,
            request_id=f"request-{number}",
            command_id=f"command_by_kafka_{number}" if door == "kafka" else "",
            target=transfer if name == "transfer.return" else target,
            by_target=target is not None,
            named=tuple(fields[name] for name in ("grant", "hold") if fields.get(name) not in (None, target)),
            unique_ref=unique_ref,
            unique_type=name,
            text=salted,
            cursor=cursor,
            transfer=transfer,
        )

    async def send(self, request: Request) -> Answer:
        """The answer of the writer; asked again under the same key when the writer changes meanwhile."""
        deadline = monotonic() + DEADLINE_S
        while True:
            writer = await self.writer()
            try:
                answer = writer.submit(request)
                while not answer.done() and self.leader.writer is writer:
                    await asyncio.wait([answer], timeout=0.05)
                if answer.done():
                    return answer.result()
            except Problem as problem:
                if problem.status != 503:
                    raise
            assert monotonic() < deadline, f"{request.type} is not answered"
            await asyncio.sleep(0.01)

    async def do(self, name: str, user: str = "", /, **fields: Any) -> Done:
        """Do one command: `await ledger.do("grant", "ann", amount=100)`; see `request` for the rest."""
        answer = await self.send(self.request(name, user, **fields))
        return Done(answer.status, orjson.loads(answer.body), answer.replayed)

    async def transfer(self, user: str, to_user: str, amount: int, **fields: Any) -> Done:
        """Both halves of a transfer, and its return when the second is refused; what came of the last step."""
        debit = await self.do("transfer", user, to_user=to_user, amount=amount, **fields)
        return debit if debit.status >= 400 else await self.arrive(debit.id)

    async def arrive(self, transfer: str) -> Done:
        """The second half of a pending transfer, or its undoing."""
        row = await self.pool.fetchrow(
            "SELECT app, user_id, asset, type, payload, time FROM events WHERE object = $1", transfer
        )
        assert row is not None
        debit = codec.decode(row["type"], row["payload"], from_datetime(row["time"]))
        assert isinstance(debit, ev.TransferDebited)
        lots = credit_for(debit, row["user_id"]).lots
        where = {"app": row["app"], "asset": row["asset"], "transfer": transfer}
        credit = await self.do("transfer.credit", debit.to_user, from_user=row["user_id"], lots=lots, **where)
        if credit.status < 400:
            return credit
        refusal = credit.body["code"]
        await self.do("transfer.refuse", debit.to_user, refusal=refusal, **where)
        return await self.do("transfer.return", row["user_id"], refusal=refusal, **where)


@asynccontextmanager
async def ledger_on(
    database: Database,
    *,
    partitions: int = PARTITIONS,
    clock: WallClock | None = None,
    limits: Limits | None = None,
    times: LeaseTimes | None = None,
) -> AsyncIterator[Ledger]:
    """A ledger on a prepared database, as its runtime role, until the block ends. It can be started again on it."""
    clock = clock or WallClock()
    pool = await create_pool(database.runtime_dsn, application_name="ledger", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    app_times: dict[str, int] = {}

    async def connection() -> Connection:
        return await connect(database.runtime_dsn, application_name="ledger-writer", statement_timeout_ms=0, wait_s=0)

    leader = Leader(
        shard=SHARD,
        url="",
        pool=pool,
        connect=connection,
        read_configs=lambda: latest_configs(pool),
        clock=clock,
        app_now=app_times.get,
        partitions=partitions,
        limits=limits or Limits(),
        times=times or LeaseTimes(poll_s=0.02),
    )
    task = asyncio.create_task(leader.run())
    try:
        yield Ledger(database.runtime_dsn, pool, clock, leader, app_times)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Not `close`, which waits for connections that a test may have cut.
        pool.terminate()
