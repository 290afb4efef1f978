"""A small disk of a test's own, which can be filled and freed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_CLONE_NEWNS = 0x00020000
_BLOCK = 1 << 16


class SmallDisk:
    """A mounted file system of `size_mb` megabytes at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all space, or all but some."""
        with self._filler.open("ab", buffering=0) as filler:
            size = _BLOCK
            while size:
                try:
                    free = os.statvfs(self.root)
                    room = free.f_bavail * free.f_frsize - leave_bytes
                    if room <= 0:
                        return
                    filler.write(bytes(min(size, room)))
                except OSError:
                    size //= 2

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(size_mb: int) -> Iterator[SmallDisk]:
    """A tmpfs in a mount namespace of this process's own, so that no other sees it and nothing is left of it.

    Skips the test where this process may not mount.
    """
    root = Path(tempfile.mkdtemp(prefix="tallystick-disk-"))
    root.chmod(0o755)
    try:
        _mount(root, size_mb)
        try:
            yield SmallDisk(root)
        finally:
            subprocess.run(["umount", "-l", str(root)], check=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _mount(root: Path, size_mb: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(_CLONE_NEWNS) != 0:
        pytest.skip(f"A disk cannot be filled here: no mount namespace ({os.strerror(ctypes.get_errno())}).")
    # From here on mounts of this process are not passed on to the others.
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tallystick-trial", str(root)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"A disk cannot be filled here: {' '.join(command)}: {done.stderr.strip()}")
