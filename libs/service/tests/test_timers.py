"""Timers fire once they are due, whatever fails, and stop cleanly."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY

from libs.service.clock import ManualClock
from libs.service.timers import Poller

pytestmark = pytest.mark.anyio

DEADLINE_S = 10.0


@dataclass
class Store:
    """Timers in memory: due times by name, and what has fired, in order."""

    clock: ManualClock
    timers: dict[str, int] = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    polls: int = 0
    unreachable: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def due(self, now_us: int, limit: int) -> Sequence[str]:
        self.polls += 1
        self.changed.set()
        if self.unreachable:
            raise OSError("the database is away")
        found = sorted((due, name) for name, due in self.timers.items() if due <= now_us)
        return [name for _, name in found[:limit]]

    async def fire(self, name: str) -> None:
        self.changed.set()
        if name in self.broken:
            raise RuntimeError(name)
        del self.timers[name]
        self.fired.append(name)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def store() -> Store:
    return Store(ManualClock())


def poller(store: Store, *, chunk: int = 10, interval_s: float = 60.0) -> Poller[str]:
    # An interval beyond the deadline shows that nothing but a poke or a full chunk led to the next poll.
    return Poller(
        "test",
        store.due,
        store.fire,
        clock=store.clock,
        due_at_us=lambda name: store.timers[name],
        chunk=chunk,
        interval_s=interval_s,
        backoff_s_min=0.01,
    )


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"timer": "test"}) or 0.0


async def test_what_is_due_fires_in_order_and_nothing_else(store: Store) -> None:
    now = store.clock.now_us()
    store.timers = {"later": now + 1, "second": now, "first": now - 5_000_000}
    fired = sample("timers_fired_total")
    async with poller(store):
        await store.until(lambda: len(store.fired) == 2)
    assert store.fired == ["first", "second"]
    assert store.timers == {"later": now + 1}
    assert sample("timers_fired_total") == fired + 2
    assert sample("timer_lag_seconds") == 5.0


async def test_a_poke_leads_to_a_poll_at_once(store: Store) -> None:
    store.timers = {"later": store.clock.now_us() + 1_000_000}
    async with poller(store) as running:
        await store.until(lambda: store.polls == 1)
        store.clock.advance(2)
        running.poke()
        await store.until(lambda: store.fired == ["later"])
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.polls == 2


async def test_without_a_poke_the_next_poll_comes_by_itself(store: Store) -> None:
    async with poller(store, interval_s=0.01):
        await store.until(lambda: store.polls >= 3)


async def test_a_poke_during_a_poll_is_not_lost(store: Store) -> None:
    running = poller(store)
    original = store.due

    async def due(now_us: int, limit: int) -> Sequence[str]:
        found = await original(now_us, limit)
        if store.polls == 1:
            store.timers["new"] = now_us
            running.poke()
        return found

    running._due = due
    async with running:
        await store.until(lambda: store.fired == ["new"])


async def test_a_backlog_is_worked_off_in_chunks(store: Store) -> None:
    store.timers = {f"{n:03}": store.clock.now_us() - 1 for n in range(95)}
    async with poller(store, chunk=10):
        await store.until(lambda: len(store.fired) == 95)
    assert store.fired == sorted(store.fired)
    assert store.polls >= 10


async def test_one_that_fails_does_not_keep_the_others_and_fires_when_it_can(store: Store) -> None:
    now = store.clock.now_us()
    store.timers = {"bad": now - 2, "good": now - 1}
    store.broken = {"bad"}
    failures = sample("timer_failures_total")
    async with poller(store):
        await store.until(lambda: store.fired == ["good"] and store.polls >= 3)
        store.broken = set()
        await store.until(lambda: store.fired == ["good", "bad"])
    assert sample("timer_failures_total") >= failures + 2


async def test_it_outlives_a_store_that_is_away(store: Store) -> None:
    store.timers = {"a": store.clock.now_us()}
    store.unreachable = True
    async with poller(store):
        await store.until(lambda: store.polls >= 3)
        assert store.fired == []
        store.unreachable = False
        await store.until(lambda: store.fired == ["a"])


async def test_pauses_after_failures_grow_to_a_limit(store: Store) -> None:
    running = poller(store)
    store.unreachable = True
    pauses = []
    for failures in (1, 4, 8, 40, 4000):
        running._failures_in_row = failures
        pauses.append(running._backoff_s())
    assert pauses[0] <= 0.01
    assert 0.04 <= pauses[1] <= 0.08
    assert pauses[0] < pauses[1] < pauses[2]
    assert all(15.0 <= pause <= 30.0 for pause in pauses[3:])


async def test_stopping_lets_the_firing_under_way_end_and_begins_no_other(store: Store) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    store.timers = {"a": 0, "b": 1}

    async def slow(name: str) -> None:
        begun.set()
        await may_end.wait()
        store.fired.append(name)

    running = poller(store)
    running._fire = slow
    async with running:
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(0)
        may_end.set()
        await asyncio.wait_for(stopping, DEADLINE_S)
        assert store.fired == ["a"]


async def test_stopping_cancels_one_that_does_not_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.service.timers.STOP_S", 0.05)
    begun = asyncio.Event()
    store.timers = {"a": 0}

    async def stuck(name: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    running = poller(store)
    running._fire = stuck
    async with asyncio.timeout(DEADLINE_S), running:
        await begun.wait()


async def test_stopping_twice_or_before_the_start_is_fine(store: Store) -> None:
    running = poller(store)
    await running.stop()
    async with running:
        pass
    await running.stop()
