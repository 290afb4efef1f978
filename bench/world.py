"""What is measured: a PostgreSQL, a broker and a ledger of our own, in a folder that is removed afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

import httpx

from bench.load import Plan, Result
from bench.machine import Meter
from deploy.embedded.child import Child
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.services import LEDGER
from libs.events.contracts.ledger.commands import ChargeCredits
from libs.service.auth import ROLE_SCOPES
from libs.service.keys import ensure_keys, issue_token

ROOT = Path(__file__).resolve().parent.parent
APP = "bench"
ASSET = "credits"
HOT = "hot"
COMMAND_SOURCE = "bench"
"""The service that the Kafka commands are said to come from."""
ACCOUNTS = 10_000
CONFIG: dict[str, Any] = {"assets": {ASSET: {"scale": 2}}}
CHARGE = '{"user":"{user}","amount":"1"}'
GRANT = '{"user":"{user}","amount":"1000000000","source":"paid"}'

START_S = 60.0
RELAY_S = 180.0
RELAY_POLL_S = 0.2
UNPUBLISHED = """
SELECT (SELECT sum(position) FROM heads) - (SELECT coalesce(sum(seq), 0) FROM relay_checkpoints)
"""
LOAD_MARGIN_S = 60.0
PEOPLE_S = 600
SERVICE_S = 6 * 3600


class BenchError(RuntimeError):
    """Something that a measurement needs did not work."""


class World:
    """Starts what the measurements share; `with` ends and removes all of it.

    `parent` is where the folder is made: its file system is what the figures are of. With `profile`, ledgers run under
    the sampling profiler and write beside that path. `users` have the accounts that the load is spread over.
    """

    def __init__(self, parent: Path, profile: Path | None = None, accounts: int = ACCOUNTS) -> None:
        self.users = [f"user-{number:05d}" for number in range(accounts)]
        self._parent = parent
        self._profile = profile
        self._stack = ExitStack()
        self._runs = 0
        self.ledgers: dict[str, Ledger] = {}
        """By their databases."""

    def __enter__(self) -> Self:
        self._parent.mkdir(parents=True, exist_ok=True)
        self.data = Path(mkdtemp(prefix="bench-", dir=self._parent))
        self._stack.callback(shutil.rmtree, self.data, ignore_errors=True)
        try:
            self.postgres = PostgresServer(self.data / "postgres", free_port())
            self._stack.callback(self.postgres.destroy)
            self._stack.callback(self.postgres.stop)
            self.postgres.start()
            self._require_durable()
            self._key = ensure_keys(self.data / "keys", self.data / "keys" / "jwks.json")
            self._start_broker()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def token(self, role: str) -> str:
        """A bearer token of the bench's app with all that the role may do."""
        lifetime_s = SERVICE_S if role == "service" else PEOPLE_S
        return issue_token(
            self._key,
            sub="bench",
            audience=["ledger", "meter"],
            role=role,
            scopes=sorted(ROLE_SCOPES[role]),
            app=APP,
            ttl_s=lifetime_s,
        )

    def database(self, name: str) -> str:
        """An empty database of this name with its two roles; the address for its owner."""
        self.postgres.ensure_service(name)
        return self.postgres.dsn(name, f"{name}_owner")

    def ledger(self, database: str = "ledger") -> Ledger:
        """A ledger that serves, on a migrated database of its own; the same one when it runs already."""
        if database not in self.ledgers:
            self.database(database)
            ledger = Ledger(self, database, self._profile)
            ledger.migrate()
            ledger.start()
            self._stack.callback(ledger.stop)
            self.ledgers[database] = ledger
        return self.ledgers[database]

    def environment(self, database: str, port: int, grpc_port: int) -> dict[str, str]:
        """The settings of a ledger."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_LOG_LEVEL": "warning",
            "TALLYSTICK_LEDGER_PORT": str(port),
            "TALLYSTICK_LEDGER_GRPC_PORT": str(grpc_port),
            "TALLYSTICK_LEDGER_DSN": self.postgres.dsn(database, database),
            "TALLYSTICK_LEDGER_COMMAND_SOURCES": json.dumps({COMMAND_SOURCE: [ChargeCredits.TYPE]}),
            "TALLYSTICK_LEDGER_OWNER_DSN": self.postgres.dsn(database, f"{database}_owner"),
        }

    @property
    def postgres_pid(self) -> int:
        """The process whose children are all of PostgreSQL."""
        assert self.postgres.child is not None
        return self.postgres.child.pid

    def settle(self, *databases: str) -> None:
        """What autovacuum would have done within a minute: plans made for empty tables are forgotten."""
        for database in databases:
            self.postgres.admin.sql("VACUUM ANALYZE", database=database)
        self.postgres.admin.sql("CHECKPOINT")

    def run_name(self) -> str:
        """A name that no other run of this world has: what makes its idempotency keys new."""
        self._runs += 1
        return f"{self.data.name}-{self._runs:04d}"

    def broker(self) -> str:
        """The broker's address."""
        address: str = json.loads((self.data / "broker.json").read_text())["bootstrap"]
        return address

    def _require_durable(self) -> None:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            (value,) = self.postgres.admin.sql(f"SHOW {name}")
            if value != "on":
                raise BenchError(f"PostgreSQL runs with {name}={value}: its figures would be worth nothing")

    def _start_broker(self) -> None:
        file = self.data / "broker.json"
        command = [sys.executable, "-m", "deploy.embedded.broker", "--file", str(file)]
        for topic, partitions in LEDGER.topics.items():
            command += ["--topic", f"{topic}:{partitions}"]
        child = Child(command, cwd=ROOT, output=subprocess.DEVNULL)
        self._stack.callback(child.stop)
        _wait("the broker", child, file.exists)


class Ledger:
    """One ledger process on one database."""

    def __init__(self, world: World, database: str, profile: Path | None) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self.users = world.users
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.database = database
        self._world = world
        self._profile = profile
        self._environment = world.environment(database, self.port, self.grpc_port)
        self._child: Child | None = None
        self._relay: Child | None = None
        self._cuts = 0

    def migrate(self) -> None:
        """Make the database ready."""
        command = [sys.executable, "-m", "services.ledger", "migrate"]
        done = subprocess.run(
            command, env=self._environment, cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"the ledger's migration failed:\n{done.stdout}{done.stderr}")

    def start(self) -> float:
        """Start it and wait until it is ready; the seconds that took."""
        began = time.monotonic()
        profiler = [] if self._profile is None else ["-m", "bench.profiler", str(self._profile)]
        command = [sys.executable, *profiler, "-m", "services.ledger", "serve"]
        log = self._world.data / f"{self.database}.log"
        with log.open("ab") as output:
            self._child = Child(command, env=self._environment, cwd=ROOT, output=output)
        _wait("the ledger", self._child, self._is_ready, log)
        return time.monotonic() - began

    def start_relay(self) -> tuple[int, float]:
        """Start its relay, and wait until all events have been published: how many, and in how many seconds."""
        backlog, began = self._unpublished(), time.monotonic()
        command = [sys.executable, "-m", "services.ledger", "relay"]
        log = self._world.data / f"{self.database}-relay.log"
        with log.open("ab") as output:
            self._relay = Child(command, env=self._environment, cwd=ROOT, output=output)
        _wait("the relay", self._relay, lambda: self._unpublished() == 0, log, limit_s=RELAY_S, poll_s=RELAY_POLL_S)
        return backlog, time.monotonic() - began

    def stop_relay(self) -> None:
        """End the relay, if it runs."""
        if self._relay is not None:
            self._relay.stop()
            self._relay = None

    def stop(self) -> None:
        """End it with its relay, if they run."""
        self.stop_relay()
        if self._child is not None:
            self._child.stop()
            self._child = None

    def cut_profile(self) -> Path:
        """Make the profiler write what it has and begin anew; the file that it wrote."""
        assert self._profile is not None, "the ledger runs without a profiler"
        self._cuts += 1
        written = self._profile.with_name(f"{self._profile.name}-{self._cuts}.txt")
        written.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        _wait("the profiler", self._running, written.exists)
        return written

    @property
    def pid(self) -> int:
        """The process that serves."""
        return self._running.pid

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise BenchError("the ledger does not run")
        return self._child

    def configure(self, config: Mapping[str, Any] = CONFIG) -> None:
        """Apply the bench's app."""
        answer = self.call("PUT", "/v1/config", "admin", json=config)
        if answer.status_code not in (200, 201):
            raise BenchError(f"the app was not applied: {answer.status_code} {answer.text}")

    def call(self, method: str, path: str, role: str, **options: Any) -> httpx.Response:
        """One request."""
        headers = {"Authorization": f"Bearer {self._world.token(role)}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=30.0, **options)

    def meter(self) -> Meter:
        """Counts from now on what this ledger and PostgreSQL spend."""
        return Meter(ledger=self.pid, postgres=self._world.postgres_pid)

    def counters(self) -> dict[str, float]:
        """Its metrics without labels."""
        lines = (line.split() for line in httpx.get(f"{self.url}/metrics", timeout=10.0).text.splitlines())
        return {name: float(value) for name, value in (line for line in lines if len(line) == 2) if "{" not in name}

    def load(
        self,
        path: str,
        body: str,
        users: Sequence[str],
        clients: int,
        *,
        seconds: float = 0.0,
        warm_s: float = 0.0,
        count: int = 0,
    ) -> Result:
        """Let the generator post `body` to `path` for these users; :class:`BenchError` unless all are answered 201."""
        plan = Plan(
            port=self.port,
            path=path,
            token=self._world.token("service"),
            body=body,
            users=list(users),
            clients=clients,
            run=self._world.run_name(),
            seconds=seconds,
            warm_s=warm_s,
            count=count,
        )
        result = generate(plan)
        if set(result.statuses) - {"201"}:
            raise BenchError(f"{path} was answered {result.statuses}, at first with:\n{result.sample}")
        return result

    def _unpublished(self) -> int:
        (count,) = self._world.postgres.admin.sql(UNPUBLISHED, database=self.database)
        return int(count)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False


def generate(plan: Plan) -> Result:
    """Carry out a plan in a process of its own."""
    command = [sys.executable, "-m", "bench.load"]
    limit_s = (plan.seconds or LOAD_MARGIN_S) + LOAD_MARGIN_S
    done = subprocess.run(
        command, input=json.dumps(asdict(plan)), cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"the load generator failed:\n{done.stderr}")
    return Result(**json.loads(done.stdout))


def _wait(
    name: str,
    child: Child,
    ready: Callable[[], bool],
    log: Path | None = None,
    *,
    limit_s: float = START_S,
    poll_s: float = 0.02,
) -> None:
    deadline = time.monotonic() + limit_s
    while not ready():
        ended = child.poll() is not None
        if ended or time.monotonic() > deadline:
            child.stop()
            said = "" if log is None else "\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BenchError(f"{name} {'ended at its start' if ended else 'did not become ready'}{said}")
        time.sleep(poll_s)
