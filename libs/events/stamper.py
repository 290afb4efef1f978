"""Numbers what is committed in the outbox, once and without gaps.

Ids are given when rows are inserted and become visible in another order. Numbers are given to visible rows only, so a
reader that has seen number n will never see a smaller one appear. Messages of one aggregate keep their order, because
each was inserted under the aggregate's lock, after the one before was committed.
"""

from __future__ import annotations

import asyncio

from libs.events.db import Fenced, Pool
from libs.events.failpoints import reach

_NUMBER = """
WITH batch AS (
    SELECT id, topic, partition, row_number() OVER (PARTITION BY topic, partition ORDER BY id) AS place
    FROM (SELECT id, topic, partition FROM outbox WHERE seq IS NULL ORDER BY id LIMIT $1) AS waiting
), numbered AS (
    UPDATE outbox o
    SET seq = coalesce(h.seq, 0) + b.place, prevseq = coalesce(h.seq, 0) + b.place - 1
    FROM batch b LEFT JOIN outbox_heads h USING (topic, partition)
    WHERE o.id = b.id
    RETURNING o.topic, o.partition, o.seq
), heads AS (
    INSERT INTO outbox_heads (topic, partition, seq)
    SELECT topic, partition, max(seq) FROM numbered GROUP BY topic, partition
    ON CONFLICT (topic, partition) DO UPDATE SET seq = excluded.seq
)
SELECT count(*) FROM numbered
"""


class Stamper:
    """The one stamper of a database: whoever called `take_over` last. Polls every `poll_s` seconds when idle."""

    def __init__(self, pool: Pool, *, poll_s: float = 0.02, batch: int = 1000) -> None:
        self._pool = pool
        self._poll_s = poll_s
        self._batch = batch
        self._epoch = 0

    async def take_over(self) -> None:
        """Become the stamper; the one before is fenced off with its next batch."""
        self._epoch = await self._pool.fetchval("UPDATE outbox_stamper SET epoch = epoch + 1 RETURNING epoch")

    async def step(self) -> int:
        """Number what is committed, up to a batch; how many rows. Raises :class:`Fenced` when another took over."""
        async with self._pool.acquire() as connection, connection.transaction():
            epoch = await connection.fetchval("SELECT epoch FROM outbox_stamper FOR UPDATE")
            if epoch != self._epoch:
                raise Fenced(f"the stamper's epoch is {epoch}, ours was {self._epoch}")
            numbered = int(await connection.fetchval(_NUMBER, self._batch))
            reach("stamper.numbered")
        reach("stamper.committed")
        return numbered

    async def run(self) -> None:
        """Take over and number until cancelled or :class:`Fenced`."""
        await self.take_over()
        while True:
            if await self.step() < self._batch:
                await asyncio.sleep(self._poll_s)
