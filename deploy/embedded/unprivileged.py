"""The user that PostgreSQL runs as when we are root, which it refuses to be.

An existing ``tallystick`` user is taken, else one is made, else ``nobody`` serves. Files that this user cannot reach
(below ``/root``, say) are given a place under ``/var/lib/tallystick``.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from deploy.embedded.child import User

NAME = "tallystick"
SHARED = Path("/var/lib/tallystick")


def unprivileged_user(directory: Path) -> User | None:
    """The user for processes that may not be root, or None when we are not root ourselves.

    A directory that is there already belongs to whoever made it, and stays theirs.
    """
    if os.geteuid() != 0:
        return None
    if directory.exists() and (owner := directory.stat()).st_uid != 0:
        return User(owner.st_uid, owner.st_gid)
    entry = _entry(NAME) or _create() or _entry("nobody")
    if entry is None:
        raise LookupError("PostgreSQL cannot run as root, and there is no other user: create one named 'tallystick'")
    return User(entry.pw_uid, entry.pw_gid)


def reachable(user: User, path: Path) -> bool:
    """Whether the user may enter every folder above ``path``, by their modes."""
    return all(_may_enter(user, folder) for folder in path.resolve().parents)


def private_directory(user: User | None, wanted: Path) -> Path:
    """Makes ``wanted`` a folder that the user owns and returns where it really lies.

    Where the user cannot reach it, it becomes a link to a folder below ``/var/lib/tallystick``.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if user is None:
        wanted.mkdir(mode=0o700, exist_ok=True)
        return wanted
    if not wanted.exists() and not reachable(user, wanted.parent.resolve() / wanted.name):
        wanted.unlink(missing_ok=True)
        wanted.symlink_to(tempfile.mkdtemp(prefix=f"{wanted.name}-", dir=_shared_directory()))
    wanted.mkdir(exist_ok=True)
    real = wanted.resolve()
    os.chown(real, user.uid, user.gid)
    real.chmod(0o700)
    return real


def remove_directory(directory: Path) -> None:
    """Removes a folder that ``private_directory`` made, wherever it lies."""
    shutil.rmtree(directory.resolve(), ignore_errors=True)
    if directory.is_symlink():
        directory.unlink()


def readable_copy(user: User | None, directory: Path, name: str) -> Path:
    """``directory`` itself if the user can reach it, else a copy of it under ``/var/lib/tallystick/<name>``."""
    if user is None or reachable(user, directory / "file"):
        return directory
    copy = _shared_directory() / name
    if not copy.exists():
        unfinished = copy.with_name(f"{name}.{os.getpid()}")
        shutil.copytree(directory, unfinished, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if mode & 0o100 else 0o444))
        try:
            unfinished.rename(copy)
        except OSError:  # Another process was first; its copy is the same.
            shutil.rmtree(unfinished)
    return copy


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create() -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd")
    if useradd is None:
        return None
    subprocess.run([useradd, "--system", "--no-create-home", "--user-group", NAME], capture_output=True, check=False)
    return _entry(NAME)


def _may_enter(user: User, folder: Path) -> bool:
    facts = folder.stat()
    if facts.st_uid == user.uid:
        return bool(facts.st_mode & 0o100)
    if facts.st_gid == user.gid:
        return bool(facts.st_mode & 0o010)
    return bool(facts.st_mode & 0o001)


def _shared_directory() -> Path:
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)
    return SHARED
