"""Makes ``.venv`` from a lock file, with nothing but Python's standard library: what ``make`` does first.

    python3 deploy/setup_venv.py requirements.lock

Nothing is done when the virtual environment already holds what the lock says. The development lock holds all that
the other does, so that either serves ``make run``.
"""

import hashlib
import re
import subprocess
import sys
import venv
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "locks"
RUNTIME = "requirements.lock"
PROJECTS = (ROOT, ROOT / "libs" / "client")
PYTHON_AT_LEAST = (3, 11)
BAR_WIDTH = 30


def stamp(lock: Path) -> str:
    """A checksum of all that decides what the virtual environment holds."""
    digest = hashlib.sha256(f"{ROOT} {sys.version_info[:2]}".encode())
    for path in (lock, *(project / "pyproject.toml" for project in PROJECTS)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(lock: Path) -> bool:
    """Whether this lock was installed as it is now."""
    file = STAMPS / lock.name
    return PYTHON.exists() and file.exists() and file.read_text() == stamp(lock)


def make_venv() -> None:
    """Makes the virtual environment, anew if it is of another version of Python."""
    configuration = VENV / "pyvenv.cfg"
    wanted = f"version = {sys.version_info.major}.{sys.version_info.minor}."
    if PYTHON.exists() and configuration.exists() and wanted in configuration.read_text():
        return
    say(f"Making {VENV.name} with Python {sys.version.split()[0]} …")
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except (subprocess.CalledProcessError, ImportError):
        sys.exit("Python's venv module does not work here (on Debian and Ubuntu: apt-get install python3-venv)")


def install(lock: Path) -> None:
    """Installs exactly what the lock says, with a line of progress."""
    total = len(re.findall(r"^[A-Za-z0-9._-]+==", lock.read_text(), re.MULTILINE))
    say(f"Installing {total} packages of {lock.name} (a minute or two, the first time) …")
    pip("--require-hashes", "-r", str(lock), total=total)
    for project in PROJECTS:
        pip("--no-deps", "--no-build-isolation", "-e", str(project))


def pip(*arguments: str, total: int = 0) -> None:
    """Runs ``pip install``; what it said last is shown only if it fails."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    tail: deque[str] = deque(maxlen=30)
    found = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            tail.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                found += 1
                show_progress(min(found, total), total)
            elif line.startswith("Installing collected packages"):
                show_progress(total, total, "installing")
    clear_progress()
    if process.returncode != 0:
        sys.exit("".join(tail) + "\nThe packages could not be installed; pip's last lines are above.")


def show_progress(done: int, total: int, what: str = "fetching") -> None:
    """Draws a bar, on a terminal only."""
    if total and sys.stdout.isatty():
        filled = BAR_WIDTH * done // total
        print(f"\r  {'█' * filled}{'·' * (BAR_WIDTH - filled)} {done}/{total} {what}  ", end="", flush=True)


def clear_progress() -> None:
    """Removes the bar."""
    if sys.stdout.isatty():
        print("\r\x1b[K", end="", flush=True)


def say(text: str) -> None:
    """Tells what comes next."""
    print(text, flush=True)


def main() -> None:
    """Brings the virtual environment to the lock named on the command line."""
    if sys.version_info < PYTHON_AT_LEAST:
        version = ".".join(map(str, PYTHON_AT_LEAST))
        sys.exit(
            f"Python {version} or newer is needed, this is {sys.version.split()[0]}. "
            "Name another one: make PYTHON=python3.12 …"
        )
    lock = ROOT / sys.argv[1]
    development = ROOT / "requirements-dev.lock"
    if is_current(lock) or (lock.name == RUNTIME and is_current(development)):
        return
    make_venv()
    install(lock)
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / lock.name).write_text(stamp(lock))


if __name__ == "__main__":
    main()
