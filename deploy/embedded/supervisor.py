"""Runs the whole suite on one machine: PostgreSQL, the broker, migrations, services, the apps' configuration.

Whatever ends is started again; when the supervisor ends, even by SIGKILL, everything does.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from deploy.embedded.admin import PostgresError
from deploy.embedded.child import Child, ChildError
from deploy.embedded.console import Console
from deploy.embedded.instance import AlreadyRunning, InstanceLock
from deploy.embedded.ports import LOOPBACK, is_taken
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.production import refuse_production
from deploy.embedded.services import SERVICES, Process, Service
from deploy.embedded.unit import Unit
from libs.service.keys import ensure_keys, ensure_secret
from libs.service.settings import GRPC_OFFSET, PORTS

APPS = Path(__file__).parents[1] / "apps"
READY_S = 60.0
POLL_S = 0.03
ENDS_AT_START_MAX = 3
HTTP_TIMEOUT_S = 3.0


class StartError(RuntimeError):
    """The suite could not be started; the message says what to do."""


class Stopped(Exception):
    """Somebody asked the supervisor to stop while it was starting."""


class Supervisor:
    """One instance of the suite on ``data``, with ports from ``port_base`` on. ``run`` returns the exit code."""

    def __init__(
        self,
        data: Path,
        port_base: int,
        *,
        services: Sequence[Service] = SERVICES,
        apps: Path = APPS,
        console: Console | None = None,
    ) -> None:
        self.data = data.absolute()
        self.port_base = port_base
        self.services = services
        self.apps = apps
        self.console = console or Console()
        self.stopping = threading.Event()
        self._stages: list[list[Unit]] = []
        self._broker_file = self.data / "broker.json"

    def run(self) -> int:
        """Starts everything, waits for SIGINT, SIGTERM or SIGHUP, and stops everything. Not in production."""
        refuse_production("The embedded suite")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup asks us to stay.
            signal.signal(signal.SIGHUP, self._on_signal)
        try:
            with InstanceLock(self.data) as lock:
                try:
                    self._start(lock.children_fd)
                    while not self.stopping.wait(1.0):  # A bounded wait lets Python run its signal handlers.
                        pass
                finally:
                    self._stop()
        except Stopped:
            return 0
        except (StartError, AlreadyRunning, PostgresError, ChildError) as error:
            self.console.error(str(error))
            return 1
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def _start(self, lock_fd: int) -> None:
        began = time.monotonic()
        self._require_free_ports()
        first = not (self.data / "postgres").exists()
        self.console.say(f"Starting on {self.data}{', which is new' if first else ''} …")
        ensure_keys(self.data / "keys", self.data / "keys" / "jwks.json")
        for secret in [secret for service in self.services for secret in service.secrets]:
            ensure_secret(self.data / "keys" / secret)
        postgres = self._start_servers(lock_fd)
        environment = self._environment()
        for service in self.services:
            if service.migrate is not None:
                postgres.ensure_service(service.name)
                owner = self._owner(environment, postgres, service)
                self._run_once(f"{service.name}-migrate", service.migrate, owner, lock_fd)
        self._start_services(environment, postgres, lock_fd)
        self.console.say(f"Everything answers after {time.monotonic() - began:.1f} s.")
        self._apply_apps(environment, lock_fd)
        self.console.plain(self._summary(postgres))

    def _start_servers(self, lock_fd: int) -> PostgresServer:
        """PostgreSQL and the broker, side by side."""
        port = self.port_base + PORTS["postgres"]
        postgres = PostgresServer(self.data / "postgres", port, output=subprocess.PIPE, held_fds=[lock_fd])
        topics = {topic: count for service in self.services for topic, count in service.topics.items()}
        command = [sys.executable, "-m", "deploy.embedded.broker", "--file", str(self._broker_file)]
        for topic, partitions in topics.items():
            command += ["--topic", f"{topic}:{partitions}"]

        def launch_broker() -> Child:
            self._broker_file.unlink(missing_ok=True)  # A killed broker leaves its address behind.
            return Child(command, output=subprocess.PIPE, held_fds=[lock_fd])

        database_unit = self._unit("postgres", postgres.launch)
        broker_unit = self._unit("broker", launch_broker)
        self._begin([database_unit])
        self._begin([broker_unit])
        self._wait_for(database_unit, lambda: postgres.child is not None and postgres.is_ready())
        self._wait_for(broker_unit, self._broker_file.exists)
        return postgres

    def _start_services(self, environment: Mapping[str, str], postgres: PostgresServer, lock_fd: int) -> None:
        units: list[Unit] = []
        addresses: dict[str, str] = {}
        for service in self.services:
            has_database = service.migrate is not None
            dsn = {_dsn_name(service): postgres.dsn(service.name, service.name)} if has_database else {}
            for process in service.processes:
                units.append(self._unit(process.name, self._launcher(process, {**environment, **dsn}, lock_fd)))
                addresses[process.name] = f"http://{LOOPBACK}:{self._port(service, process)}/readyz"
        self._begin(units)
        for unit in units:
            self._wait_for(unit, partial(_answers, addresses[unit.name]))

    def _apply_apps(self, environment: Mapping[str, str], lock_fd: int) -> None:
        files = [str(file) for file in sorted(self.apps.glob("*.yaml"))]
        if not files:
            return
        try:
            self._run_once("apps", ["-m", "libs.service.cli", "app", "apply", *files], environment, lock_fd)
        except StartError as error:
            self.console.error(f"{error}; the services run without these changes")

    def _stop(self) -> None:
        """Ends what was started, the last first: services before the servers that they use."""
        if self._stages:
            self.console.say("Stopping …")
        for units in reversed(self._stages):
            for unit in units:
                unit.ask_to_stop()
            for unit in units:
                unit.stop()
        self._broker_file.unlink(missing_ok=True)

    def _begin(self, units: list[Unit]) -> None:
        self._stages.append(units)
        for unit in units:
            unit.start()

    def _unit(self, name: str, launch: Callable[[], Child]) -> Unit:
        return Unit(name, launch, lambda text: self.console.line(name, text))

    def _launcher(self, process: Process, environment: Mapping[str, str], lock_fd: int) -> Callable[[], Child]:
        command = [sys.executable, *process.command]
        return lambda: Child(command, env=environment, output=subprocess.PIPE, held_fds=[lock_fd])

    def _wait_for(self, unit: Unit, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_S
        while not ready():
            if self.stopping.wait(POLL_S):
                raise Stopped
            if unit.ends >= ENDS_AT_START_MAX:
                raise StartError(f"{unit.name} does not stay up; its last lines above say why")
            if time.monotonic() > deadline:
                raise StartError(f"{unit.name} was not ready after {READY_S:g} s")

    def _run_once(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], lock_fd: int) -> None:
        """Runs a command to its end. Raises ``StartError`` if it fails, ``Stopped`` if we are to stop meanwhile."""
        child = Child([sys.executable, *arguments], env=environment, output=subprocess.PIPE, held_fds=[lock_fd])
        reader = threading.Thread(target=self._pass_on, args=(name, child), daemon=True)
        reader.start()
        while reader.is_alive():
            if self.stopping.is_set():
                child.stop()
            reader.join(POLL_S)
        code = child.wait()
        if self.stopping.is_set():
            raise Stopped
        if code != 0:
            raise StartError(f"{name} failed with code {code}")

    def _pass_on(self, name: str, child: Child) -> None:
        with child.output as lines:
            for line in lines:
                self.console.line(name, line.decode(errors="replace").rstrip("\n"))

    def _environment(self) -> dict[str, str]:
        return {
            "TALLYSTICK_LOG_FORMAT": "text",
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TALLYSTICK_ENV": "development",
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_PORT_BASE": str(self.port_base),
            "TALLYSTICK_KAFKA": f"file:{self._broker_file}",
            "TALLYSTICK_JWKS_FILE": str(self.data / "keys" / "jwks.json"),
        }

    def _owner(self, environment: Mapping[str, str], postgres: PostgresServer, service: Service) -> dict[str, str]:
        """What a migration sees besides: the owner's access to the database."""
        owner_dsn = postgres.dsn(service.name, f"{service.name}_owner")
        runtime_dsn = postgres.dsn(service.name, service.name)
        return {**environment, _dsn_name(service): runtime_dsn, _dsn_name(service, "OWNER_"): owner_dsn}

    def _require_free_ports(self) -> None:
        wanted = {
            process.name: self._port(service, process) for service in self.services for process in service.processes
        }
        wanted |= {f"{service.name}, gRPC": port for service in self.services for port in self._grpc_ports(service)}
        wanted["PostgreSQL"] = self.port_base + PORTS["postgres"]
        taken = [f"{port} ({name})" for name, port in wanted.items() if is_taken(port)]
        if taken:
            raise StartError(
                f"In use by another program: port {', '.join(taken)}. "
                "Set TALLYSTICK_PORT_BASE (default 8000) to a number with free ports behind it"
            )

    def _port(self, service: Service, process: Process) -> int:
        return self.port_base + PORTS[service.name] + process.port_offset

    def _grpc_ports(self, service: Service) -> list[int]:
        return [self._port(service, process) + GRPC_OFFSET for process in service.processes if process.grpc]

    def _url(self, service: Service) -> str:
        return f"http://{LOOPBACK}:{self.port_base + PORTS[service.name]}"

    def _summary(self, postgres: PostgresServer) -> str:
        broker = json.loads(self._broker_file.read_text())["bootstrap"]
        lines = ["", "Tallystick is running:"]
        for service in self.services:
            lines.append(f"  {service.name:<11} {self._url(service)} (/docs, /metrics)")
            lines += [f"  {'':<11} {LOOPBACK}:{port} (gRPC)" for port in self._grpc_ports(service)]
        lines += [
            f"  {'PostgreSQL':<11} {LOOPBACK}:{postgres.port}, passwords in {postgres.data_dir / 'passwords.json'}",
            f"  {'Kafka':<11} {broker} (embedded: in memory, at another address after each start)",
            f"  {'data':<11} {self.data}",
            "",
            "Try this in another terminal:",
            *self._first_command(),
            "",
            "Ctrl-C stops everything.",
        ]
        return "\n".join(lines)

    def _first_command(self) -> list[str]:
        """A grant, as one can paste it."""
        program = Path(sys.executable).with_name("tallystick")
        shown = program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
        token = f"{shlex.quote(str(shown))} token --app coins --role service"
        if self.data != Path.cwd() / ".data":
            token = f"TALLYSTICK_DATA={shlex.quote(str(self.data))} {token}"
        return [
            f"  curl {self._url(self.services[0])}/v1/grants \\",
            f'    -H "Authorization: Bearer $({token})" \\',
            "    -H 'Idempotency-Key: my-first-grant' -H 'Content-Type: application/json' \\",
            """    -d '{"user": "ada", "amount": "10", "source": "promo"}'""",
        ]


def _dsn_name(service: Service, kind: str = "") -> str:
    return f"TALLYSTICK_{service.name.upper()}_{kind}DSN"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 (an address of ours)
            return bool(answer.status == 200)
    except OSError:
        return False
