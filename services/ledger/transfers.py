"""The steps of a transfer after its debit: the credit, or, where that is refused, the return.

Each step is a command with a key or a check of its own, so that taking it twice is harmless: the process that answers
the caller takes the steps that it can at once, and a job takes those that were left.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import orjson

from libs.service.clock import to_datetime
from libs.service.problems import NotFound, NotLeader, Problem
from services.ledger.core import Core
from services.ledger.domain import commands as cmd
from services.ledger.domain.amounts import format_units
from services.ledger.domain.commands import Command
from services.ledger.domain.decide.transfers import credit_for
from services.ledger.requests import Answer, Request, SettleTransfer
from services.ledger.store import reads
from services.ledger.store.reads import TransferRow

CALLER = "@transfers"
DONE = frozenset({"completed", "returned"})
_POLL_S = 0.02
_BALANCES = ("settled", "held", "owed", "available", "position", "partition")


def step_request(kind: str, row: TransferRow, user: str, command: Command, correlation: str = "") -> Request:
    """One step as a request; the credit's outcome is kept under the transfer's id, because it is answered again."""
    print_ = f"{kind} {row.id}".encode()
    return Request(
        app=row.app,
        user=user,
        asset=row.asset,
        type=kind,
        build=lambda _scale: command,
        caller=CALLER,
        key=row.id if kind == "transfer.credit" else "",
        fingerprint=print_,
        unique_fingerprint=print_,
        actor=CALLER,
        door="job",
        request_id=row.id,
        correlation_id=correlation,
        target=row.id if kind == "transfer.return" else None,
        transfer=row.id,
    )


class Transfers:
    """Takes steps of transfers, and tells what became of them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def can_step(self, row: TransferRow) -> bool:
        """Whether this process writes the account that the next step is taken on."""
        partition = row.to_partition if row.status == "pending" else row.from_partition
        return self._core.writer_of(partition) is not None

    async def step(self, row: TransferRow) -> None:
        """Take the next step, which is this process's. A Problem means that it must be tried again."""
        if row.status == "pending":
            await self._credit(row)
        elif row.status == "refused":
            await self._do(
                "transfer.return", row, row.from_user, cmd.ReturnTransfer(transfer=row.id, refusal=row.refusal or "")
            )

    async def _credit(self, row: TransferRow) -> None:
        debit = await reads.debit_of(self._core.pool, row.id)
        credit = credit_for(debit.event, row.from_user)
        answer = await self._do("transfer.credit", row, row.to_user, credit, debit.correlation)
        if answer.status >= 400 and answer.outcome != "transfer_settled":
            refusal = orjson.loads(answer.body)["code"]
            await self._do("transfer.refuse", row, row.to_user, SettleTransfer(transfer=row.id, refusal=refusal))

    async def _do(self, kind: str, row: TransferRow, user: str, command: Command, correlation: str = "") -> Answer:
        answer = await self._core.decide(step_request(kind, row, user, command, correlation))
        if answer.status == 503:
            raise NotLeader
        return answer

    async def finish(self, transfer: str, wait_s: float) -> TransferRow | None:
        """How far the transfer has come after at most `wait_s` seconds, taking whatever steps are this process's."""
        with contextlib.suppress(TimeoutError, Problem):
            async with asyncio.timeout(wait_s):
                while (row := await self._row(transfer)) is not None and row.status not in DONE:
                    if self.can_step(row):
                        await self.step(row)
                    else:
                        await asyncio.sleep(_POLL_S)
        return await self._row(transfer)

    async def outcome(self, debit: Answer) -> Answer:
        """What whoever asked for a transfer is answered, given the debit's answer: its credit is waited for a while."""
        if debit.status != 202:
            return debit
        body = orjson.loads(debit.body)
        row = await self.finish(body["id"], self._core.settings.transfer_wait_s)
        if row is None:
            raise NotFound("transfer")
        status, told = await self.answer(row, body)
        return Answer(status, told, debit.replayed)

    async def _row(self, transfer: str) -> TransferRow | None:
        return await reads.transfer_by_id(self._core.reads, transfer)

    async def told(self, row: TransferRow, debit: dict[str, Any] | None) -> dict[str, Any]:
        """A transfer as answers show it. `debit` is the debit's own answer, where the sender's side is wanted.

        It is made of what is stored, so that every repeat of it is the same.
        """
        config = await self._core.config(row.app)
        status = "pending" if row.status == "refused" else row.status
        told: dict[str, Any] = {
            "id": row.id,
            "status": status,
            "amount": format_units(row.amount, config.scales[row.asset]),
            "asset": row.asset,
            "from_user": row.from_user,
            "to_user": row.to_user,
        }
        if status == "returned":
            told["refusal"] = row.refusal
        if debit is not None:
            told["accounts"] = [_side(row.from_user, debit)]
            credit = await self._credit_outcome(row)
            if status == "completed" and credit is not None:
                told["accounts"].append(_side(row.to_user, credit))
        return told

    async def answer(self, row: TransferRow, debit: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body that whoever asked for the transfer is told, given the debit's own answer."""
        if row.status == "returned":
            return 409, await self.refused(row)
        status = 201 if row.status == "completed" else 202
        return status, orjson.dumps(await self.told(row, debit))

    async def refused(self, row: TransferRow) -> bytes:
        """The problem document of a transfer that was returned: the refusal of its credit, and the transfer's id."""
        problem = await self._credit_outcome(row)
        if problem is None:
            problem = Problem("The credit was refused.", status=409, code=row.refusal).to_dict(row.id)
        return orjson.dumps({**problem, "status": 409, "transfer": row.id})

    async def _credit_outcome(self, row: TransferRow) -> dict[str, Any] | None:
        found = await reads.outcome(self._core.reads, (row.app, row.to_user, row.id, CALLER), to_datetime(0))
        if found is None:
            return None
        body: dict[str, Any] = orjson.loads(found.body)
        return body


def _side(user: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"user": user, **{name: body[name] for name in _BALANCES}}
