"""Commands for as long as a stream lasts: each is handed over as it comes, each result is sent as it is known.

At most so many commands of one stream are under way; beyond that nothing is read from it, so that a caller who does not
take its results cannot fill the memory: HTTP/2 holds it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import orjson
from tallystick.ledger.v1 import ledger_pb2 as pb

from libs.events.tasks import end, run_together
from libs.service.problems import Problem, invalid
from services.ledger.api.sending import Caller, Sent
from services.ledger.grpc_api.messages import item_of, result_of
from services.ledger.handlers.items import Item, parse_item
from services.ledger.requests import Answer

GROUP_MAX = 100
"""Commands that are passed on to another process at once."""


class CommandStream:
    """One stream. `caller` says who sends, anew for each command, since tokens expire; `write` sends one result."""

    def __init__(
        self, caller: Callable[[], Caller], write: Callable[[pb.CommandResult], Awaitable[None]], outstanding_max: int
    ) -> None:
        self._caller = caller
        self._write = write
        # One more than these is read before there is no room.
        self._room = asyncio.Semaphore(outstanding_max - 1)
        self._results: asyncio.Queue[pb.CommandResult] = asyncio.Queue()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._elsewhere: dict[str | None, list[tuple[str, Sent]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False

    async def run(self, messages: AsyncIterator[bytes], closing: asyncio.Event) -> None:
        """Answer what comes until it ends or `closing` is set; what was read by then is answered before this returns.

        Raises :class:`DecodeError` after that for what is no message.
        """
        reading = asyncio.create_task(self._read(messages))
        try:
            await run_together(self._send(), self._all_answered(reading, closing))
            if reading.done():
                reading.result()
        finally:
            await end(reading, *self._tasks)

    async def _all_answered(self, reading: asyncio.Task[None], closing: asyncio.Event) -> None:
        leaving = asyncio.ensure_future(closing.wait())
        try:
            await asyncio.wait([reading, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        self._leaving = True
        await self._idle.wait()

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            if self._leaving:
                return
            await self._take(pb.CommandRequest.FromString(message))
            await self._room.acquire()

    async def _take(self, message: pb.CommandRequest) -> None:
        """Hand one command over. Commands of one account are handed over in the order in which they come."""
        self._under_way += 1
        self._idle.clear()
        item = item_of(message)
        kind = item.get("type")
        try:
            caller = self._caller()
        except Problem as problem:
            # As every request over HTTP, every command is looked at: a token may have expired meanwhile.
            self._done(message.tag, kind, Answer(problem.status, orjson.dumps(problem.to_dict())))
            return
        sent = await caller.placed(_read_item(kind, item))
        if sent.answer is None and not caller.submit(sent):
            await self._pass_on(caller, message.tag, sent)
        elif sent.answer is None and sent.request is not None and kind != "transfer":
            self._when_decided(caller, message.tag, sent, sent.request.answer)
        else:
            self._spawn(self._hear(caller, message.tag, sent))

    def _when_decided(self, caller: Caller, tag: str, sent: Sent, answer: asyncio.Future[Answer]) -> None:
        def tell(decided: asyncio.Future[Answer]) -> None:
            problem = decided.exception()
            if problem is None:
                self._done(tag, _kind(sent), decided.result())
            else:
                self._done(tag, _kind(sent), caller.refusal(problem if isinstance(problem, Problem) else Problem()))

        answer.add_done_callback(tell)

    async def _hear(self, caller: Caller, tag: str, sent: Sent) -> None:
        self._done(tag, _kind(sent), await caller.hear(sent))

    async def _pass_on(self, caller: Caller, tag: str, sent: Sent) -> None:
        """Have a command decided by the process that writes its account, with those that wait for the same one."""
        owner = await caller.owner(sent)
        waiting = self._elsewhere.get(owner)
        if waiting is not None:
            waiting.append((tag, sent))
            return
        self._elsewhere[owner] = [(tag, sent)]
        self._spawn(self._pass_all_on(caller, owner))

    async def _pass_all_on(self, caller: Caller, owner: str | None) -> None:
        while waiting := self._elsewhere[owner]:
            group, self._elsewhere[owner] = waiting[:GROUP_MAX], waiting[GROUP_MAX:]
            await caller.pass_on([sent for _, sent in group])
            for tag, sent in group:
                self._done(tag, _kind(sent), await caller.hear(sent))
        del self._elsewhere[owner]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _done(self, tag: str, kind: str | None, answer: Answer) -> None:
        self._results.put_nowait(result_of(tag, kind, answer))

    async def _send(self) -> None:
        while True:
            await self._write(await self._results.get())
            self._room.release()
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()


def _kind(sent: Sent) -> str | None:
    return None if sent.item is None else sent.item.type


def _read_item(kind: str | None, item: dict[str, Any]) -> Item | Problem:
    if kind is None:
        return invalid("missing_field", "command", "There is no command in this message.")
    return parse_item(kind, orjson.dumps(item))
