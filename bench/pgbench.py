"""PostgreSQL alone: pgbench doing the same work as a charge, and the bare limit of batched appends."""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
import subprocess
import time
from pathlib import Path

import asyncpg

from bench.machine import Meter
from bench.rounds import Sample
from bench.world import BenchError, World

DATABASE = "pgbench"
BATCH = 256
BALANCE = 10**15
MARGIN_S = 60
PAYLOAD = b"x" * 320
HASH = b"h" * 32
"""What an event of a charge has."""

SCHEMA = """
CREATE TABLE balances (account int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
CREATE TABLE journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE log (
    partition smallint, position bigint, account int NOT NULL, type text NOT NULL, event_id text NOT NULL,
    time timestamptz NOT NULL, payload bytea NOT NULL, hash bytea NOT NULL, PRIMARY KEY (partition, position));
INSERT INTO balances SELECT n, {balance} FROM generate_series(1, {accounts}) n;
"""
SCRIPT = """
\\set account {account}
BEGIN;
UPDATE balances SET balance = balance - 1 WHERE account = :account AND balance >= 1;
INSERT INTO journal (account, amount) VALUES (:account, 1);
COMMIT;
"""


class Postgres:
    """The two measurements, on the server that the ledger writes to, in a database of their own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._owner = world.database(DATABASE)
        self._position = 0
        self._accounts = len(world.users)
        asyncio.run(self._execute(SCHEMA.format(balance=BALANCE, accounts=self._accounts)))

    def charge(self, *, hot: bool, seconds: float, clients: int = 64) -> Sample:
        """The conditional update and the journal row in one transaction, over all accounts or on one."""
        script = self._world.data / f"pgbench-{'hot' if hot else 'spread'}.sql"
        script.write_text(SCRIPT.format(account=1 if hot else f"random(1, {self._accounts})"))
        address = self._world.postgres.admin
        command = [str(self._world.postgres.pgbench), "-n", "-M", "prepared", "-c", str(clients)]
        command += ["-j", str(min(clients, os.cpu_count() or 1)), "-T", str(max(1, round(seconds))), "-f", str(script)]
        command += ["-h", address.host, "-p", str(address.port), "-U", address.user, DATABASE]
        meter, before_s = self._meter(), _children_s()
        done = subprocess.run(
            command,
            env={**os.environ, "PGPASSWORD": address.password},
            capture_output=True,
            text=True,
            timeout=seconds + MARGIN_S,
            check=False,
        )
        if "actually processed: 0\n" in done.stdout and seconds < MARGIN_S:
            # A busy machine had not even connected all clients in so short a round.
            return self.charge(hot=hot, seconds=4 * seconds, clients=clients)
        rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        processed = re.search(r"^number of transactions actually processed: ([0-9]+)", done.stdout, re.MULTILINE)
        if done.returncode != 0 or rate is None or processed is None:
            raise BenchError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        count = int(processed[1])
        return Sample(float(rate[1]), cost_us=meter.each_us(count, _children_s() - before_s))

    def bare(self, seconds: float) -> Sample:
        """Events a second of a loop that appends 256 of them and updates 256 balances in one transaction."""
        return asyncio.run(self._bare(seconds))

    async def _bare(self, seconds: float) -> Sample:
        connection = await asyncpg.connect(self._owner)
        try:
            insert = await connection.prepare(
                "INSERT INTO log SELECT 0, p, a, 'ledger.credits_charged.v1', e, now(), x, h"
                " FROM unnest($1::bigint[], $2::int[], $3::text[], $4::bytea[], $5::bytea[]) u(p, a, e, x, h)"
            )
            update = await connection.prepare(
                "UPDATE balances b SET balance = b.balance - 1 FROM unnest($1::int[]) u(a)"
                " WHERE b.account = u.a AND b.balance >= 1"
            )
            payloads, hashes = [PAYLOAD] * BATCH, [HASH] * BATCH
            everyone = range(1, self._accounts + 1)
            batches = 0
            meter, cpu_from = self._meter(), time.process_time()
            began = time.perf_counter()
            while (now := time.perf_counter()) < began + seconds:
                accounts = random.sample(everyone, min(BATCH, len(everyone)))
                positions = list(range(self._position + 1, self._position + BATCH + 1))
                ids = [f"event_{position:032d}" for position in positions]
                async with connection.transaction():
                    await insert.fetch(positions, accounts, ids, payloads, hashes)
                    await update.fetch(accounts)
                self._position += BATCH
                batches += 1
            cost_us = meter.each_us(batches * BATCH, time.process_time() - cpu_from)
            return Sample(batches * BATCH / (now - began), cost_us=cost_us)
        finally:
            await connection.close()

    def _meter(self) -> Meter:
        return Meter(postgres=self._world.postgres_pid)

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self._owner)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


def _children_s() -> float:
    """Processor time of the child processes that have been waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def fsync_ms(world: World, binary: Path) -> float | None:
    """Milliseconds of one durable 8 kB write where the data lies, by PostgreSQL's own tool; None if it has none."""
    tool = binary.with_name("pg_test_fsync")
    if not tool.exists():
        return None
    target = world.data / "fsync-test"
    done = subprocess.run(
        [str(tool), "-s", "1", "-f", str(target)], capture_output=True, text=True, timeout=MARGIN_S, check=False
    )
    found = re.search(r"fdatasync\s+[0-9.]+ ops/sec\s+([0-9.]+) usecs/op", done.stdout)
    return None if found is None else float(found[1]) / 1000
