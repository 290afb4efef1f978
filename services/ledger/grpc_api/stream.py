"""Commands for as long as a stream lasts: each is handed over as it comes, each result is sent as it is known.

A message is one command, or many: then it is answered by one message, which costs either side far less than one for
each. At most so many commands of one stream are under way, and those of one message more; beyond that nothing is read
from it, so that a caller who does not take its results cannot fill the memory: HTTP/2 holds it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from tallystick.ledger.v1 import ledger_pb2 as pb

from libs.events.tasks import end, run_together
from libs.service.problems import Problem, invalid
from services.ledger.api.sending import Caller, Handed, Sent
from services.ledger.grpc_api.messages import item_of, result_of
from services.ledger.handlers.items import Item, parse_item, too_many
from services.ledger.requests import Answer

GROUP_MAX = 100
"""Commands that are passed on to another process at once."""


@dataclass(slots=True)
class _Message:
    """What came in one message, and how many of its commands are still to be answered."""

    sent: pb.CommandRequest
    commands: list[Sent]
    left: int = 0

    def result(self) -> pb.CommandResult:
        """What is told of it."""
        results = [
            result_of(each.tag, None if command.item is None else command.item.type, command.answer)
            for each, command in zip(_each(self.sent), self.commands, strict=True)
            if command.answer is not None
        ]
        return pb.CommandResult(tag=self.sent.tag, results=results) if self.sent.commands else results[0]


def _each(message: pb.CommandRequest) -> Sequence[pb.CommandRequest]:
    return message.commands or (message,)


class CommandStream:
    """One stream. `caller` says who sends, anew for each message, since tokens expire; `write` sends one result."""

    def __init__(
        self,
        caller: Callable[[], Caller],
        write: Callable[[pb.CommandResult], Awaitable[None]],
        outstanding_max: int,
        items_max: int,
    ) -> None:
        self._caller = caller
        self._write = write
        self._outstanding_max = outstanding_max
        self._items_max = items_max
        self._results: asyncio.Queue[tuple[int, pb.CommandResult]] = asyncio.Queue()
        self._under_way = 0
        self._sent = asyncio.Event()
        """Set whenever results have been sent."""

        self._elsewhere: dict[str | None, list[tuple[_Message, Sent]]] = {}
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
        await self._until_under_way(0)

    async def _until_under_way(self, most: int) -> None:
        while self._under_way > most:
            self._sent.clear()
            await self._sent.wait()

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            if self._leaving:
                return
            await self._take(pb.CommandRequest.FromString(message))
            await self._until_under_way(self._outstanding_max - 1)

    async def _take(self, sent: pb.CommandRequest) -> None:
        """Hand a message's commands over. Those of one account are handed over in the order in which they come."""
        number = len(_each(sent))
        self._under_way += number
        wrong = self._wrong_with(sent)
        if wrong is not None:
            self._results.put_nowait((number, result_of(sent.tag, None, _refused(wrong))))
            return
        try:
            caller = self._caller()
        except Problem as problem:
            # As every request over HTTP, every message is looked at: a token may have expired meanwhile.
            answer = _refused(problem)
            self._finish(_Message(sent, [Sent(None, answer=answer)] * number))
            return
        commands = await caller.placed([_read_item(each) for each in _each(sent)])
        message = _Message(sent, commands)
        handed, elsewhere = caller.hand_over(commands)
        # One more, for this method itself.
        message.left = 1 + (0 if handed is None else len(handed.commands)) + len(elsewhere)
        if handed is not None:
            self._when_decided(caller, message, handed)
        for command in elsewhere:
            await self._pass_on(caller, message, command)
        self._less(message, 1)

    def _wrong_with(self, sent: pb.CommandRequest) -> Problem | None:
        if len(sent.commands) > self._items_max:
            return too_many(self._items_max)
        if sent.commands and sent.WhichOneof("command") is not None:
            return invalid("not_together", "commands", "A message is one command, or has many.")
        return None

    def _when_decided(self, caller: Caller, message: _Message, handed: Handed) -> None:
        def tell(_: asyncio.Future[None]) -> None:
            caller.tell(handed)
            transfers = [command for command in handed.commands if command.is_transfer]
            for command in transfers:
                self._spawn(self._follow(caller, message, command))
            self._less(message, len(handed.commands) - len(transfers))

        handed.group.all_done.add_done_callback(tell)

    async def _follow(self, caller: Caller, message: _Message, command: Sent) -> None:
        await caller.follow(command)
        self._less(message, 1)

    async def _pass_on(self, caller: Caller, message: _Message, command: Sent) -> None:
        """Have a command decided by the process that writes its account, with those that wait for the same one."""
        owner = await caller.owner(command)
        waiting = self._elsewhere.get(owner)
        if waiting is not None:
            waiting.append((message, command))
            return
        self._elsewhere[owner] = [(message, command)]
        self._spawn(self._pass_all_on(caller, owner))

    async def _pass_all_on(self, caller: Caller, owner: str | None) -> None:
        while waiting := self._elsewhere[owner]:
            group, self._elsewhere[owner] = waiting[:GROUP_MAX], waiting[GROUP_MAX:]
            await caller.pass_on([command for _, command in group])
            for message, _ in group:
                self._less(message, 1)
        del self._elsewhere[owner]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _less(self, message: _Message, answered: int) -> None:
        message.left -= answered
        if not message.left:
            self._finish(message)

    def _finish(self, message: _Message) -> None:
        self._results.put_nowait((len(message.commands), message.result()))

    async def _send(self) -> None:
        while True:
            number, result = await self._results.get()
            await self._write(result)
            self._under_way -= number
            self._sent.set()


def _refused(problem: Problem) -> Answer:
    return Answer(problem.status, orjson.dumps(problem.to_dict()))


def _read_item(sent: pb.CommandRequest) -> Item | Problem:
    item = item_of(sent)
    kind = item.get("type")
    if kind is None:
        return invalid("missing_field", "command", "There is no command in this message.")
    return parse_item(kind, orjson.dumps(item))
