"""Who listens to the log: one follower in each process reads what is new, once, and hands it to the open streams.

The log in the database is what is followed, whichever process writes it: as long as anybody listens here, the heads are
looked at every `poll_s` seconds, and what was committed since is read in one statement. Nothing is asked of the writer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.service.db import Pool
from libs.service.problems import Problem
from libs.service.sse import StreamEnded
from services.ledger import metrics
from services.ledger.store import heads, journal
from services.ledger.store.journal import LogRow, Span
from services.ledger.store.reads import UNREACHABLE

logger = logging.getLogger(__name__)

ROUND_MAX = 1000
"""Events of one partition that are read at once."""
RETRY_S = 0.5
"""How long the follower waits after the database did not answer."""
LOG_RESTARTED = StreamEnded("log_restarted", "The log is another one: what it tells now may differ from what it told.")

CLOSING = StreamEnded("closing", "The process ends: connect again, to another one.")
UNAVAILABLE = StreamEnded("unavailable", "The log cannot be read just now.")


class TooManyStreams(Problem):
    """No more streams are opened here."""

    status = 429
    code = "too_many_streams"
    title = "Too many streams are open"
    next = "Close one, or wait as Retry-After says and connect again."

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Retry-After": "5"})


class Behind(Exception):
    """More came than a listener's queue takes: what is missing is to be read from the log."""


@dataclass(slots=True)
class Told:
    """An event that is handed to listeners; `places` are those in all partitions after it, for its app's listeners.

    `text` is what they send of it, made by the first.
    """

    row: LogRow
    places: dict[int, int] | None = None
    text: bytes = b""


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream: of an account (`user` and `asset`), or of an app. What was handed to it waits in a queue."""

    app: str
    user: str | None
    asset: str
    owner: tuple[str, str] | None
    """The user whose token opened it; None for others' tokens."""

    _waiting: deque[Told] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _behind: bool = False
    _ended: StreamEnded | None = None

    async def take(self, wait_s: float) -> list[Told]:
        """What has come since the last time, in order and without gaps; nothing if nothing came for `wait_s` seconds.

        :class:`Behind` where a gap would follow, :class:`StreamEnded` when the stream is to end.
        """
        if not self._waiting and not self._behind and self._ended is None:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        if self._ended is not None:
            raise self._ended
        if self._waiting:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
        raise Behind

    def begin(self) -> None:
        """An empty queue, without a gap in front of it."""
        self._waiting.clear()
        self._behind = False

    def hand(self, told: Told, queue_max: int) -> bool:
        """Put an event into the queue; False when it is full: then nothing more belongs into it."""
        if len(self._waiting) >= queue_max:
            self._behind = True
        else:
            self._waiting.append(told)
        self._arrived.set()
        return not self._behind

    def end(self, why: StreamEnded) -> None:
        """End the stream."""
        self._ended = why
        self._arrived.set()


@dataclass(slots=True)
class _Joining:
    """A listener that waits for the follower to be at `places` at least; `joined` gets where it is then."""

    listener: Listener
    places: Mapping[int, int]
    joined: asyncio.Future[dict[int, int]]


@dataclass(slots=True)
class StreamLimits:
    """How much is followed, how often (seconds), and for how many."""

    poll_s: float
    queue_max: int
    listeners_max: int
    per_user_max: int


class Streams:
    """The follower of one process and its listeners; :meth:`run` until cancelled."""

    def __init__(self, pool: Pool, limits: StreamLimits) -> None:
        self._pool = pool
        self._limits = limits
        self._places: dict[int, int] = {}
        """How far the log has been handed out; empty while nobody listens."""

        self._open: set[Listener] = set()
        self._owners: Counter[tuple[str, str]] = Counter()
        self._joining: list[_Joining] = []
        self._following: dict[tuple[str, str | None], set[Listener]] = {}
        """By app and user; by app and None those who follow the whole app."""

        self._wanted = asyncio.Event()
        self._stopped: StreamEnded | None = None

    # Listeners

    def admit(self, app: str, user: str | None = None, asset: str = "", *, owner: str | None = None) -> Listener:
        """A new listener; `owner` is the user whose own token it is. :class:`TooManyStreams` beyond the limits."""
        limits = self._limits
        if len(self._open) >= limits.listeners_max:
            raise TooManyStreams(f"This process keeps {limits.listeners_max} streams open at most.")
        key = None if owner is None else (app, owner)
        if key is not None and self._owners[key] >= limits.per_user_max:
            raise TooManyStreams(f"A user may have {limits.per_user_max} streams open at a process.")
        listener = Listener(app, user, asset, key)
        if self._stopped is not None:
            listener.end(self._stopped)
        self._open.add(listener)
        if key is not None:
            self._owners[key] += 1
        metrics.STREAMS.set(len(self._open))
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener; one that has been forgotten already is none."""
        if listener not in self._open:
            return
        self._open.remove(listener)
        self._unfollow(listener)
        if listener.owner is not None:
            self._owners[listener.owner] -= 1
            if not self._owners[listener.owner]:
                del self._owners[listener.owner]
        metrics.STREAMS.set(len(self._open))

    async def follow(self, listener: Listener, places: Mapping[int, int] | None = None) -> dict[int, int]:
        """Hand to a listener all that lies behind the places that this answers, which are `places` or later ones."""
        if self._stopped is not None:
            raise self._stopped
        listener.begin()
        joining = _Joining(listener, places or {}, asyncio.get_running_loop().create_future())
        self._joining.append(joining)
        self._wanted.set()
        return await joining.joined

    def stop(self, why: StreamEnded) -> None:
        """End every stream, and whatever is opened from now on."""
        self._stopped = why
        self._end_all(why)

    def _end_all(self, why: StreamEnded) -> None:
        for listener in self._open:
            listener.end(why)
        for joining in self._joining:
            if not joining.joined.done():
                joining.joined.set_exception(why)
        self._joining.clear()

    def _unfollow(self, listener: Listener) -> None:
        key = (listener.app, listener.user)
        followers = self._following.get(key)
        if followers is not None:
            followers.discard(listener)
            if not followers:
                del self._following[key]

    # The follower

    async def run(self) -> None:
        """Follow the log while anybody listens, until cancelled."""
        while True:
            if not self._following and not self._joining:
                self._wanted.clear()
                await self._wanted.wait()
                self._places = {}
            try:
                await self._round()
                pause_s = self._limits.poll_s
            except UNREACHABLE as error:
                logger.warning("the log cannot be followed: %s", error)
                pause_s = RETRY_S
            except Exception:
                logger.exception("following the log failed")
                self._end_all(UNAVAILABLE)
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def _round(self) -> None:
        """Hand out what has been committed since the last round."""
        ends = await heads.positions(self._pool)
        if any(ends.get(partition, 0) < place for partition, place in self._places.items()):
            # Only a log that was put back to an earlier state is shorter than it was.
            self._end_all(LOG_RESTARTED)
            self._places = {}
        if not self._places:
            self._places = ends
        self._join()
        spans = [Span(number, place, ends[number]) for number, place in self._places.items() if place < ends[number]]
        if not spans:
            return
        apps = [app for app, user in self._following if user is None]
        users = [(app, user) for app, user in self._following if user is not None]
        rows = await journal.followed_events(self._pool, spans, apps, users, ROUND_MAX)
        self._hand_out(rows)
        self._advance(spans, rows)

    def _join(self) -> None:
        """Take in who has been waiting, where the follower has come far enough for them."""
        waiting, self._joining = self._joining, []
        for joining in waiting:
            if joining.joined.done():
                continue
            if any(self._places.get(partition, 0) < place for partition, place in joining.places.items()):
                self._joining.append(joining)
                continue
            listener = joining.listener
            if listener in self._open:
                self._following.setdefault((listener.app, listener.user), set()).add(listener)
            joining.joined.set_result(dict(self._places))

    def _hand_out(self, rows: list[tuple[str, LogRow]]) -> None:
        places: dict[str, dict[int, int]] = {}
        for app, row in rows:
            whole = self._following.get((app, None))
            if whole:
                # Times of two apps need not agree, so the places after an event are worked out for each app apart.
                after = places[app] = {**places.get(app, self._places), row.partition: row.position}
                self._hand(whole, Told(row, after))
            own = self._following.get((app, row.user))
            if own:
                self._hand({listener for listener in own if listener.asset == row.asset}, Told(row))

    def _hand(self, listeners: set[Listener], told: Told) -> None:
        full = [one for one in listeners if not one.hand(told, self._limits.queue_max)]
        for listener in full:
            self._unfollow(listener)

    def _advance(self, spans: list[Span], rows: list[tuple[str, LogRow]]) -> None:
        """Note how far each partition has been handed out: to where it was read, or to its last event that was."""
        positions: dict[int, list[int]] = {}
        for _, row in rows:
            positions.setdefault(row.partition, []).append(row.position)
        for span in spans:
            read = positions.get(span.partition, [])
            self._places[span.partition] = max(read) if len(read) >= ROUND_MAX else span.up_to
