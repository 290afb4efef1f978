"""Commands from Kafka: read by assignment, decided by the same writer and through the same handlers as HTTP's.

The place in the topic is stored with the effects. What cannot be read, or lies in the wrong partition, becomes a dead
letter in the same transaction, and a `command_refused` where its id is readable, so that its sender hears. A command
that fails the ledger itself becomes a dead letter too, without a refusal: it may still be decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import cast

import orjson
from pydantic import ValidationError

from libs.events.bus import Bus
from libs.events.command_reader import CommandReader, load_cursors
from libs.events.contracts.ledger.commands import Body
from libs.events.dead_letters import open_by_source, revive
from libs.events.envelope import SOURCE_PREFIX, Envelope, InvalidMessage, envelope_json
from libs.events.failpoints import reach
from libs.events.ids import InvalidIdError, parse_id
from libs.events.metrics import DEAD_LETTERS_OPEN
from libs.events.partition import partition_of
from libs.events.tasks import run_together
from libs.service.bodies import errors_from_pydantic
from libs.service.db import Pool
from libs.service.problems import Overloaded, Problem, Unavailable
from services.ledger.domain.commands import Command
from services.ledger.domain.rejections import Rejected
from services.ledger.handlers.commands import BY_CONTRACT, Kind, Origin, request_for
from services.ledger.replies import Group
from services.ledger.requests import BuryMessage, Cursor, Request
from services.ledger.store import dead_letters
from services.ledger.store.heads import UNREACHABLE
from services.ledger.store.log_source import COMMANDS_TOPIC, SOURCE
from services.ledger.writer.answering import NotStored
from services.ledger.writer.engine import Writer
from services.ledger.writer.once import NOT_NOW

logger = logging.getLogger(__name__)

ROLE = "service"
UNKNOWN = "@unknown"
"""Who sent a record that does not say it."""
POLL_S = 0.1
REPLAY_POLL_S = 1.0
GROUP_MAX = 64
"""Commands that are handed to the writer, and waited for, together."""

Asked = tuple[list[Cursor], Group]


class CommandConsumer:
    """Feeds the writer from `ledger.commands` for as long as this process has one.

    `allowed` says which command types each source may send. `outstanding_max` bounds what is in the writer's hands.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        pool: Pool,
        writer: Callable[[], Writer | None],
        partitions: int,
        allowed: Mapping[str, frozenset[str]],
        outstanding_max: int = 2048,
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._writer = writer
        self._partitions = partitions
        self._allowed = allowed
        self._outstanding_max = outstanding_max
        self._poison: dict[tuple[tuple[str, str, int], int], str] = {}
        """Why the ledger failed at a record, by its place: it is buried when it is read again."""

    async def run(self) -> None:
        """Read while this process leads, from the cursors each time it begins to; until cancelled."""
        while True:
            writer = self._writer()
            # While writes are stopped, commands wait in their topic: reading them again and again would lead nowhere.
            if writer is not None and writer.halted is None:
                try:
                    await self._follow(writer)
                except Exception as failure:
                    # The writer has ended or could not store something: whatever follows starts from the cursors.
                    known = isinstance(failure, (Problem, *UNREACHABLE))
                    logger.warning("commands are read again: %s", failure, exc_info=None if known else failure)
            await asyncio.sleep(POLL_S)

    async def _follow(self, writer: Writer) -> None:
        """Until something fails, which ends all of it."""
        asked: asyncio.Queue[Asked] = asyncio.Queue(max(1, self._outstanding_max // GROUP_MAX))
        await run_together(self._read(writer, asked), self._hear(asked), self._replay(writer))

    async def _read(self, writer: Writer, asked: asyncio.Queue[Asked]) -> None:
        """Put commands into the writer's queue, in the order of each partition."""
        expected: dict[tuple[str, str, int], int] = {}

        async def cursors(cluster_id: str) -> Mapping[int, int]:
            """Where the reader begins, each time it does."""
            found = await self._cursors(cluster_id)
            expected.clear()
            expected.update({(cluster_id, COMMANDS_TOPIC, partition): offset for partition, offset in found.items()})
            return found

        reader = CommandReader(self._bus, COMMANDS_TOPIC, sorted(writer.owned), self._partitions, cursors)
        ends: dict[tuple[str, str, int], int] = {}
        at_once = min(GROUP_MAX, self._outstanding_max)
        async with contextlib.aclosing(reader.batches()) as batches:
            async for batch in batches:
                reach("commands.read")
                place = (batch.cluster_id, batch.topic, batch.partition)
                for first in range(0, len(batch.items), at_once):
                    places, requests = [], []
                    for offset, item in batch.items[first : first + at_once]:
                        end = ends.get(place)
                        # The reader goes back to the cursors when it loses the broker.
                        after = end if end is not None and end <= offset else None
                        cursor = Cursor(*place, offset, after, anew=offset < expected.get(place, 0))
                        ends[place] = expected[place] = offset + 1
                        places.append(cursor)
                        requests.append(self._request_of(item, cursor))
                    while requests:
                        room = await self._room(writer)
                        await asked.put((places[:room], writer.submit_all(requests[:room])))
                        del places[:room], requests[:room]

    async def _hear(self, asked: asyncio.Queue[Asked]) -> None:
        """Take the answers; the first that is none ends the reading."""
        while True:
            cursors, group = await asked.get()
            await group.all_done
            for cursor, part in zip(cursors, group.parts, strict=True):
                outcome = part.outcome
                if isinstance(outcome, Problem):
                    if _is_poison(outcome):
                        self._poison[cursor.place, cursor.offset] = outcome.detail
                    raise outcome
                reach("commands.answered")
                if outcome is None or outcome.status == NOT_NOW:
                    raise Unavailable("A command could not be decided yet.")
                if self._poison:
                    self._poison.pop((cursor.place, cursor.offset), None)

    async def _replay(self, writer: Writer) -> None:
        """Decide again the dead letters that somebody asked for; a repeat is harmless by its idempotency key."""
        while self._writer() is writer:
            try:
                await self._count_dead_letters()
                for dead_letter, message in await dead_letters.asked_again(self._pool):
                    await self._replay_one(writer, dead_letter, message)
            except (*UNREACHABLE, Unavailable) as error:
                logger.warning("dead letters wait: %s", error)
            await asyncio.sleep(REPLAY_POLL_S)
        raise Unavailable("This process no longer writes this shard.")

    async def _count_dead_letters(self) -> None:
        """What a record says of its source may be anything: whoever may not send is counted as unknown."""
        numbers = dict.fromkeys([*self._allowed, UNKNOWN], 0)
        for source, number in (await open_by_source(self._pool, SOURCE)).items():
            numbers[source if source in self._allowed else UNKNOWN] += number
        for source, number in numbers.items():
            DEAD_LETTERS_OPEN.labels(source).set(number)

    async def _replay_one(self, writer: Writer, dead_letter: int, message: bytes) -> None:
        try:
            command = revive(message)
        except (InvalidMessage, ValueError, LookupError, TypeError) as error:
            await dead_letters.note_failed(self._pool, dead_letter, str(error))
            return
        if partition_of(command.app, command.subject, self._partitions) not in writer.owned:
            # The shard that writes this account replays it.
            return
        try:
            await self._room(writer)
            answer = await writer.submit(self._request(None, command))
        except Problem as problem:
            if not _is_poison(problem):
                raise
            await dead_letters.note_failed(self._pool, dead_letter, problem.detail)
            return
        if answer.status == NOT_NOW:
            raise Unavailable("This dead letter could not be decided yet.")
        await dead_letters.note_replayed(self._pool, dead_letter)

    async def _cursors(self, cluster_id: str) -> Mapping[int, int]:
        async with self._pool.acquire() as connection:
            return await load_cursors(connection, cluster_id, COMMANDS_TOPIC)

    @staticmethod
    async def _room(writer: Writer) -> int:
        """For how many commands there is room, waiting while live callers have filled the queue."""
        while True:
            if (room := writer.room) > 0:
                return room
            await asyncio.sleep(POLL_S / 10)

    def _request_of(self, item: Envelope | InvalidMessage, cursor: Cursor) -> Request:
        if isinstance(item, InvalidMessage):
            return _burial(item, cursor)
        why = self._poison.get((cursor.place, cursor.offset)) if self._poison else None
        if why is None:
            return self._request(cursor, item)
        poison = InvalidMessage("not_decided", why, {"id": item.id, "type": item.type, "source": item.source})
        poison.raw = orjson.dumps(envelope_json(item))
        return _burial(poison, cursor)

    def _request(self, cursor: Cursor | None, item: Envelope) -> Request:
        kind = BY_CONTRACT.get(item.type)
        if kind is None:
            return self._refusal(item, cursor, Rejected(404, "unknown_command", f"There is no command {item.type}."))
        if item.type not in self._allowed.get(item.source, frozenset()):
            detail = f"{item.source} may not send {item.type}."
            return self._refusal(item, cursor, Rejected(403, "scope_missing", detail))
        if not item.idempotency_key:
            return self._refusal(
                item, cursor, Rejected(400, "idempotency_key_missing", "A command needs an idempotency key.")
            )
        return self._command(item, cursor, kind)

    def _command(self, item: Envelope, cursor: Cursor | None, kind: Kind) -> Request:
        try:
            # Every contract of ours is a body with the id of its path beside it.
            fields = cast("type[Body]", kind.contract).model_validate_json(item.data)
        except ValidationError as error:
            problem = errors_from_pydantic(error)
            return self._refusal(item, cursor, Rejected(problem.status, problem.code, problem.detail))
        request = request_for(kind, fields, _origin(item, cursor))
        request.expected_user = item.subject
        request.message_type = item.type
        if request.by_target and not self._is_home(request.target or "", item):
            word = (request.target or "").partition("_")[0]
            detail = f"This user has no such {word}."
            return self._refusal(item, cursor, Rejected(404, f"{word}_not_found", detail))
        if not request.by_target and request.user != item.subject:
            return self._refusal(
                item, cursor, Rejected(400, "invalid_request", "The subject is not the user of the command.")
            )
        return request

    def _is_home(self, target: str, item: Envelope) -> bool:
        """Whether an id is of the partition of the command's subject, as all that a user has is."""
        try:
            return parse_id(target) == partition_of(item.app, item.subject, self._partitions)
        except InvalidIdError:
            return False

    @staticmethod
    def _refusal(item: Envelope, cursor: Cursor | None, rejected: Rejected) -> Request:
        """A request that does nothing but refuse: the refusal and the cursor are stored as any outcome is."""

        def refuse(_scale: int) -> Command:
            raise rejected

        origin = _origin(item, cursor)
        kind = BY_CONTRACT.get(item.type)
        return Request(
            app=origin.app,
            user=item.subject,
            asset=None,
            type="unknown" if kind is None else kind.name,
            message_type=item.type,
            build=refuse,
            caller=origin.caller,
            key="",
            fingerprint=b"",
            unique_fingerprint=b"",
            actor=origin.actor,
            door="kafka",
            request_id=origin.request_id,
            command_id=origin.command_id,
            correlation_id=origin.correlation_id,
            causation_id=origin.causation_id,
            traceparent=origin.traceparent,
            cursor=cursor,
        )


def _is_poison(problem: Problem) -> bool:
    """Whether it is the command that the ledger failed at, and not the moment."""
    return isinstance(problem, NotStored) or not isinstance(problem, (Unavailable, Overloaded))


def _origin(item: Envelope, cursor: Cursor | None) -> Origin:
    return Origin(
        app=item.app,
        caller=item.source,
        key=item.idempotency_key or "",
        actor=item.actor or item.source,
        role=ROLE,
        door="kafka",
        request_id=item.correlation_id or item.id,
        command_id=item.id,
        correlation_id=item.correlation_id or "",
        causation_id=item.causation_id or "",
        traceparent=item.traceparent,
        cursor=cursor,
    )


def _burial(message: InvalidMessage, cursor: Cursor) -> Request:
    """The dead letter of something that is no command for this partition."""
    command = BuryMessage(
        reason=message.reason,
        detail=(message.detail or message.reason).replace("\x00", "\ufffd"),
        raw=message.raw,
        message_id=message.message_id,
        message_type=message.readable.get("type"),
        source=message.readable.get("source", "").removeprefix(SOURCE_PREFIX),
        app=message.readable.get("app", ""),
    )
    return Request(
        app=command.app,
        user="",
        asset=None,
        type="dead_letter",
        build=lambda _scale: command,
        caller="",
        key="",
        fingerprint=b"",
        unique_fingerprint=b"",
        actor=command.source or UNKNOWN,
        door="kafka",
        request_id=message.message_id or "",
        command_id=message.message_id or "",
        cursor=cursor,
    )
