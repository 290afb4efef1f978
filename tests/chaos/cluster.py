"""A ledger of real processes: writers and standbys, the relay, a service beside it, PostgreSQL and a broker.

All of it listens on the loopback only and ends with the process that made it. Each process may be killed, stopped and
started again on its own; its settings, so also where it finds PostgreSQL and Kafka, may be others in each life:

    async with Cluster(directory) as cluster:
        writer = cluster.serve("a")
        writer.start(failpoints="append.committed=kill@20")
        await writer.ready()
        ...
        await writer.ended()
        writer.start()
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import asyncpg
import httpx

from deploy.embedded.ports import is_taken
from deploy.embedded.postgres import PostgresServer
from libs.events.contracts.ledger.commands import ChargeCredits, GrantCredits
from libs.events.db import MIGRATIONS
from libs.service.auth import ROLE_SCOPES
from libs.service.keys import ensure_keys, issue_token, read_jwks
from libs.service.migrations import migrate
from services.ledger.anchors import AnchorPlace
from services.ledger.settings import COMMAND_SOURCES
from services.ledger.store import setup
from tests.chaos.process import DEADLINE_S, Process

APP = "trial"
ASSET = "coins"
CALLER = "load"
"""Who the load's tokens are of; what it did is stored under this name."""
SERVICE = "trial"
"""The service that sends commands over Kafka and consumes the ledger's events; its database is called so, too."""
COMMANDS, EVENTS = "ledger.commands", "ledger.events"
CONFIG: dict[str, Any] = {"assets": {ASSET: {"scale": 0}}}
HEARD = """
CREATE TABLE heard (place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, partition int NOT NULL, seq bigint NOT NULL,
    event_id text NOT NULL);
"""
RELAY_OFFSET = 100
_PEOPLE_S = 600
_SERVICE_S = 24 * 3600


class Cluster:
    """Makes the databases, keys and the broker; the processes are made by `serve`, `relay` and `consumer`.

    `shards`: among which the partitions are split at first. `kafka`: the setting of a broker of the trial's own, in
    the place of the embedded one. `anchor_s`: seconds between anchors. `settings`: of PostgreSQL, as `name=value`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        shards: Sequence[str] = ("0",),
        partitions: int = 4,
        kafka: str | None = None,
        anchor_s: float = 1.0,
        settings: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.partitions = partitions
        self.shards = list(shards)
        self.postgres = PostgresServer(
            directory / "postgres",
            quiet_port(),
            fsync=False,
            settings=("max_connections=200", *settings),
            output=None,
        )
        self.broker: Process | None = None
        self.processes: dict[str, Process] = {}
        self._kafka = kafka or f"file:{self.data / 'broker.json'}"
        self._own_broker = kafka is None
        self._anchor_s = anchor_s
        self.topics = [COMMANDS, EVENTS]
        self._tokens: dict[str, tuple[float, str]] = {}

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        try:
            self._key = ensure_keys(self.data / "keys", self.data / "keys" / "jwks.json")
            await asyncio.to_thread(self.postgres.start)
            await self._prepare()
            if self._own_broker:
                self._make_broker().start()
                await self._until(self._has_broker, "the broker")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in [*self.processes.values(), *([self.broker] if self.broker else [])]:
            await process.stop()
        await asyncio.to_thread(self.postgres.stop)
        self.postgres.destroy()

    def remove(self) -> None:
        """Remove what a trial has left on the disk."""
        shutil.rmtree(self.directory, ignore_errors=True)

    # Processes

    def serve(self, name: str = "a", shard: str = "0", **settings: str) -> Process:
        """A writer or standby of a shard, not yet started."""
        port = quiet_port()
        own = {"TALLYSTICK_LEDGER_SHARD": shard, "TALLYSTICK_LEDGER_URL": f"http://127.0.0.1:{port}"}
        return self._process(f"serve-{name}", ("-m", "services.ledger", "serve"), port, own | settings)

    def relay(self, name: str = "a", **settings: str) -> Process:
        """The publisher of events, not yet started."""
        port = quiet_port(RELAY_OFFSET)
        made = self._process(f"relay-{name}", ("-m", "services.ledger", "relay"), port, settings)
        made.port, made.url = port + RELAY_OFFSET, f"http://127.0.0.1:{port + RELAY_OFFSET}"
        return made

    def consumer(self, feed_url: str, **settings: str) -> Process:
        """The service beside the ledger (see `tests.chaos.service`), not yet started. It has no port to be asked at."""
        own = {
            "TRIAL_DSN": self.dsn(SERVICE),
            "TRIAL_FEED": feed_url,
            "TRIAL_TOKEN": self.token("system", app="*"),
            "TRIAL_PARTITIONS": str(self.partitions),
        }
        return self._process("consumer", ("-m", "tests.chaos.service"), 0, own | settings)

    def rebuilder(self) -> Process:
        """A rebuild with its swap, as the owner, not yet started; it ends by itself."""
        return self._process("rebuilder", ("-m", "tests.chaos.rebuilder"), 0, {"TRIAL_OWNER_DSN": self.owner_dsn()})

    def _process(self, name: str, command: Sequence[str], port: int, settings: dict[str, str]) -> Process:
        assert name not in self.processes, f"there is a {name} already"
        ports = {"TALLYSTICK_LEDGER_PORT": str(port), "TALLYSTICK_LEDGER_GRPC_PORT": "0"}
        environment = {**self.environment(), **ports, **settings}
        made = Process(name, command, environment, self.directory / f"{name}.log", port)
        self.processes[name] = made
        return made

    def environment(self) -> dict[str, str]:
        """The settings that all processes share."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
            "TALLYSTICK_ENV": "test",
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_KAFKA": self._kafka,
            "TALLYSTICK_LOG_FORMAT": "text",
            "TALLYSTICK_LEDGER_DSN": self.dsn("ledger"),
            "TALLYSTICK_LEDGER_ANCHOR_S": str(self._anchor_s),
            "TALLYSTICK_LEDGER_COMMAND_SOURCES": json.dumps(
                {**COMMAND_SOURCES, SERVICE: [GrantCredits.TYPE, ChargeCredits.TYPE]}
            ),
        }

    def _make_broker(self) -> Process:
        file = self.data / "broker.json"
        command = ["-m", "deploy.embedded.broker", "--file", str(file)]
        for topic in self.topics:
            command += ["--topic", f"{topic}:{self.partitions}"]
        self.broker = Process("broker", command, self.environment(), self.directory / "broker.log", 0)
        return self.broker

    async def restart_broker(self) -> None:
        """Kill the embedded broker and start another, which is empty and has another address."""
        assert self.broker is not None, "the broker is not ours"
        await self.broker.kill()
        (self.data / "broker.json").unlink()
        self.broker.start()
        await self._until(self._has_broker, "the broker")

    async def _has_broker(self) -> bool:
        return (self.data / "broker.json").exists()

    async def restart_postgres(self) -> float:
        """Kill PostgreSQL with everything in it, and start it again; the moment at which it was dead."""
        await asyncio.to_thread(self.postgres.kill)
        killed = time.monotonic()
        await asyncio.to_thread(self.postgres.start)
        return killed

    async def cut_connections(self, application: str = "ledger%") -> int:
        """End the connections of the applications that are called so; how many."""
        return int(
            await self.sql(
                "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
                " WHERE application_name LIKE $1 AND pid <> pg_backend_pid()",
                application,
                database="postgres",
            )
        )

    async def hand_over(self, partition: int, shard: str) -> None:
        """Give a partition to another shard. Every writer is fenced at its next append, and takes over what is its."""
        await self.sql(
            "WITH moved AS (UPDATE heads SET epoch = epoch + 1, shard = CASE partition WHEN $1 THEN $2 ELSE shard END"
            " RETURNING 1) SELECT count(*) FROM moved",
            partition,
            shard,
        )

    # Access

    def dsn(self, database: str, role: str | None = None, *, port: int | None = None) -> str:
        """The address of a database for its runtime role or another; through `port` where something lies between."""
        address = self.postgres.dsn(database, role or database)
        return address if port is None else address.replace(f":{self.postgres.port}/", f":{port}/")

    def owner_dsn(self, database: str = "ledger") -> str:
        """The address of a database for its owner."""
        return self.dsn(database, f"{database}_owner")

    def admin_dsn(self, database: str = "ledger") -> str:
        """The address of a database for the superuser."""
        return self.postgres.admin.dsn(database)

    async def sql(self, query: str, *arguments: Any, database: str = "ledger") -> Any:
        """One value, asked as the superuser over a connection of its own."""
        connection = await asyncpg.connect(self.admin_dsn(database))
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    def token(self, role: str = "service", *, app: str = APP) -> str:
        """A bearer token; `app` "*" is one for all. The same for half of its life."""
        made, token = self._tokens.get(role + app, (0.0, ""))
        life_s = _SERVICE_S if role in ("service", "system") else _PEOPLE_S
        if not token or time.monotonic() - made > life_s / 2:
            token = issue_token(
                self._key,
                sub=CALLER,
                audience=["ledger", "codes"],
                role=role,
                scopes=sorted(ROLE_SCOPES[role]),
                app=None if app == "*" else app,
                apps=["*"] if app == "*" else None,
                ttl_s=life_s,
            )
            self._tokens[role + app] = (time.monotonic(), token)
        return token

    @property
    def anchors(self) -> AnchorPlace:
        """The anchors that the writers have made, and the keys they are signed with."""
        return AnchorPlace(self.data / "anchors", read_jwks(self.data / "keys" / "jwks.json"))

    async def configure(self, url: str) -> None:
        """Make the load's app known, through the process at this address."""
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
            answer = await http.put(
                "/v1/config",
                json=CONFIG,
                headers={"Authorization": f"Bearer {self.token('admin')}", "Idempotency-Key": "configure"},
            )
        assert answer.status_code in (200, 201), answer.text

    # Waiting

    async def quiet(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until all that is in the log has been published, and been heard by the service if there is one."""
        await self._until(self._is_published, "everything is published", deadline_s)
        if "consumer" in self.processes:
            await self._until(self._is_heard, "everything is heard", deadline_s)

    async def _is_published(self) -> bool:
        return bool(
            await self.sql(
                "SELECT (SELECT sum(position) FROM heads) <= (SELECT coalesce(sum(seq), 0) FROM relay_checkpoints)"
            )
        )

    async def _is_heard(self) -> bool:
        heads = await self.sql("SELECT sum(position) FROM heads")
        heard = await self.sql("SELECT coalesce(sum(seq), 0) FROM consumer_checkpoints", database=SERVICE)
        return bool(heard >= heads)

    async def _until(self, check: Callable[[], Awaitable[bool]], what: str, deadline_s: float = DEADLINE_S) -> None:
        end = time.monotonic() + deadline_s
        while not await check():
            assert time.monotonic() < end, f"not in time: {what}\n" + "\n".join(
                f"{process.name}:\n{process.last_words(8)}" for process in self.processes.values()
            )
            await asyncio.sleep(0.05)

    async def _prepare(self) -> None:
        for name in ("ledger", SERVICE):
            await asyncio.to_thread(self.postgres.ensure_service, name)
        role = urlsplit(self.dsn("ledger")).username
        await setup.prepare(self.owner_dsn(), role, self.partitions, self.shards)
        await migrate(self.owner_dsn(SERVICE), [MIGRATIONS], SERVICE)
        connection = await asyncpg.connect(self.owner_dsn(SERVICE))
        try:
            await connection.execute(f"{HEARD} GRANT SELECT, INSERT ON heard TO {SERVICE}")
        finally:
            await connection.close()


def quiet_port(*offsets: int) -> int:
    """A free port, with free ones at these distances, below those that the system gives to clients.

    So nobody else's connection takes it while the process that listens there is dead.
    """
    ports = random.sample(range(22_000, 32_000), 2000)
    return next(port for port in ports if not any(is_taken(port + offset) for offset in (0, *offsets)))
