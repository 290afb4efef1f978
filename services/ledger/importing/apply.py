"""Carrying an import out, in steps that may each be repeated: what was done is done, and is not done twice.

Operations come first, in the order of the file for each user, then settings and plans, then the levelling of
allowances, then opening balances. A process that dies in the middle is simply run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

from services.ledger.importing.caller import Caller
from services.ledger.importing.records import Opening, Operation, read_lines
from services.ledger.importing.sending import (
    Command,
    account_commands,
    balance_commands,
    levelling_command,
    operation_commands,
)

BATCH = 200
"""Commands of one request."""
LANES = 4
"""Requests on their way at once."""
SHOWN_MAX = 100
"""Refusals that are kept to be shown; all are counted."""


@dataclass(slots=True)
class Tally:
    """How many commands had their effect now, had it before, or were refused."""

    made: int = 0
    repeated: int = 0
    refused: int = 0
    refusals: list[dict[str, Any]] = field(default_factory=list)


def openings(path: Path) -> Iterator[Opening]:
    """The openings of a file whose lines have been checked."""
    return (line.record for line in read_lines(path) if isinstance(line.record, Opening))


def operations(path: Path) -> Iterator[Operation]:
    """The operations of a file whose lines have been checked."""
    return (line.record for line in read_lines(path) if isinstance(line.record, Operation))


async def apply(caller: Caller, path: Path, name: str, told: Callable[[int], None]) -> Tally:
    """Send everything; `told` hears of every command that is done."""
    tally = Tally()
    await _send(caller, _each(operation_commands(name, operations(path))), tally, told)
    await _send(caller, _each(c for o in openings(path) for c in account_commands(name, o)), tally, told)
    await _send(caller, _levelling(caller, name, openings(path)), tally, told)
    await _send(caller, _each(c for o in openings(path) for c in balance_commands(name, o)), tally, told)
    return tally


def in_chunks(items: Iterator[Opening], size: int) -> Iterator[list[Opening]]:
    """So many at a time, fewer in the end."""
    while chunk := list(islice(items, size)):
        yield chunk


async def _levelling(caller: Caller, name: str, found: Iterator[Opening]) -> AsyncIterator[Command]:
    for chunk in in_chunks((o for o in found if o.allowance is not None), LANES * 4):
        states = await asyncio.gather(*(caller.get(state_path(opening)) for opening in chunk))
        for opening, state in zip(chunk, states, strict=True):
            excess = allowance_left(state) - Decimal(str(opening.allowance))
            if excess > 0:
                yield levelling_command(name, opening, str(excess))


def state_path(opening: Opening) -> str:
    """The route of an account's state."""
    return f"/v1/accounts/{opening.user}/state" + (f"?asset={opening.asset}" if opening.asset else "")


def allowance_left(state: dict[str, Any] | None) -> Decimal:
    """What an account has of its allowance, by its state."""
    lots = [] if state is None else state["lots"]
    return sum((Decimal(lot["remaining"]) for lot in lots if lot["source"] == "allowance"), Decimal(0))


async def _send(caller: Caller, commands: AsyncIterable[Command], tally: Tally, told: Callable[[int], None]) -> None:
    """Send commands in rounds, several batches at once; those of one user go in one lane, in their order."""
    async for round_ in _rounds(commands):
        lanes: dict[int, list[Command]] = {}
        for command in round_:
            lanes.setdefault(crc32(command["user"].encode()) % LANES, []).append(command)
        await asyncio.gather(*(_lane(caller, lane, tally, told) for lane in lanes.values()))


async def _rounds(commands: AsyncIterable[Command]) -> AsyncIterator[list[Command]]:
    gathered: list[Command] = []
    async for command in commands:
        gathered.append(command)
        if len(gathered) == BATCH * LANES:
            yield gathered
            gathered = []
    yield gathered


async def _lane(caller: Caller, commands: list[Command], tally: Tally, told: Callable[[int], None]) -> None:
    for start in range(0, len(commands), BATCH):
        chunk = commands[start : start + BATCH]
        await _take(caller, chunk, tally)
        told(len(chunk))


async def _each(commands: Iterable[Command]) -> AsyncIterator[Command]:
    for command in commands:
        yield command


async def _take(caller: Caller, chunk: list[Command], tally: Tally) -> None:
    for command, result in zip(chunk, await caller.batch(chunk), strict=True):
        if not result.done:
            tally.refused += 1
            if len(tally.refusals) < SHOWN_MAX:
                why = {name: result.body.get(name) for name in ("code", "detail")}
                tally.refusals.append({"type": command["type"], "user": command["user"], **why})
        elif result.replayed:
            tally.repeated += 1
        else:
            tally.made += 1
