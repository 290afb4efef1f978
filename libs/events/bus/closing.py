"""How the Kafka client library's parts are started and closed when their broker may be dead.

Its own `stop` methods wait for deliveries that never come, let cancellations escape, and lose sight of connections. So
everything is closed part by part, each within a limit, and how it ends is ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient


class _Connections(dict[Hashable, Any]):
    """Connections of a client: one that is forgotten is closed, which the library omits when it saw the end first."""

    def __delitem__(self, key: Hashable) -> None:
        self[key].close()
        super().__delitem__(key)


def tend(client: AIOKafkaClient) -> None:
    """Keep a new client from leaking connections."""
    client._conns = _Connections()


class Cleanups:
    """Clean-ups that go on in the background, however often whoever began them is interrupted."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, closing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a clean-up."""
        task = asyncio.create_task(closing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self) -> None:
        """Wait for all of them; each has its own limit."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def started(starting: Coroutine[Any, Any, None], cleanups: Cleanups, timeout_s: float) -> None:
    """Start a client. One that is interrupted is let finish first, since it would lose its first connection.

    Its own request time-out bounds it where the broker does not answer.
    """
    task = asyncio.create_task(starting)
    try:
        await asyncio.shield(task)
    except BaseException:
        await asyncio.shield(cleanups.begin(_ended(task, timeout_s)))
        raise


async def _ended(task: asyncio.Task[None], timeout_s: float) -> None:
    await asyncio.wait({task}, timeout=timeout_s)
    await _cancel([task], timeout_s)


async def close_consumer(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Close a consumer."""
    consumer._closed = True
    if consumer._coordinator is not None:
        await bounded(consumer._coordinator.close(), timeout_s)
    if consumer._fetcher is not None:
        fetches = list(consumer._fetcher._pending_tasks)
        await bounded(consumer._fetcher.close(), timeout_s)
        await _cancel(fetches, timeout_s)
    await _close_client(consumer._client, timeout_s)


async def close_admin(admin: AIOKafkaAdminClient, timeout_s: float) -> None:
    """Close an admin client."""
    admin._closed = True
    await _close_client(admin._client, timeout_s)


async def close_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Abandon a producer with whatever it has not delivered.

    Whoever waits for a delivery has its own limit and reports what was acknowledged, so nothing is lost by not waiting.
    """
    producer._closed = True
    await bounded(producer._sender.close(), timeout_s)
    await _close_client(producer.client, timeout_s)


async def bounded(closing: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Wait for a clean-up up to the limit and ignore how it ends, even when it ends by its own cancellation."""
    await _ended(asyncio.create_task(closing), timeout_s)


async def _cancel(tasks: list[asyncio.Task[None]], timeout_s: float) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()


async def _close_client(client: AIOKafkaClient, timeout_s: float) -> None:
    """Close connections, also one that is just being made."""

    async def close() -> None:
        async with client._get_conn_lock:
            await client.close()

    await bounded(close(), timeout_s)
    # A task of the client that outlived its cancellation holds `close` up to the limit, before it comes to these.
    for connection in client._conns.values():
        connection.close()
