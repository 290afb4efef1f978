"""Where PostgreSQL's files lie when root starts it for a user who may not go everywhere."""

import os
from pathlib import Path

import pytest

from deploy.embedded import unprivileged
from deploy.embedded.child import User

SOMEBODY = User(54_321, 54_321)


@pytest.fixture(autouse=True)
def owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Path, int]:
    """The shared folder is a temporary one, and changes of owner are only noted: not every tester is root."""
    noted: dict[Path, int] = {}
    monkeypatch.setattr(unprivileged, "SHARED", tmp_path / "shared")
    monkeypatch.setattr(os, "chown", lambda path, uid, _gid: noted.update({Path(path): uid}))
    return noted


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder like root's home, which only its owner may enter."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def test_what_others_may_not_enter_is_out_of_reach(closed: Path) -> None:
    assert not unprivileged.reachable(SOMEBODY, closed / "data")
    assert unprivileged.reachable(SOMEBODY, Path("/usr/bin"))


def test_data_out_of_reach_is_linked_to_a_shared_place_and_goes_with_its_link(
    closed: Path, tmp_path: Path, owners: dict[Path, int]
) -> None:
    wanted = closed / "data" / "cluster"
    real = unprivileged.private_directory(SOMEBODY, wanted)
    assert real.parent == tmp_path / "shared"
    assert wanted.resolve() == real
    assert owners[real] == SOMEBODY.uid
    assert real.stat().st_mode & 0o777 == 0o700
    assert unprivileged.private_directory(SOMEBODY, wanted) == real, "a second start finds it again"
    unprivileged.remove_directory(wanted)
    assert not real.exists()
    assert not wanted.is_symlink()


def test_without_another_user_data_lies_where_it_is_wanted(closed: Path) -> None:
    wanted = closed / "cluster"
    assert unprivileged.private_directory(None, wanted) == wanted
    assert not wanted.is_symlink()


def test_programs_out_of_reach_are_copied_readable_once(closed: Path, tmp_path: Path) -> None:
    program = closed / "programs" / "bin" / "program"
    program.parent.mkdir(parents=True, mode=0o700)
    program.write_text("v1")
    program.chmod(0o700)
    assert unprivileged.readable_copy(None, closed / "programs", "programs-1") == closed / "programs"
    copy = unprivileged.readable_copy(SOMEBODY, closed / "programs", "programs-1")
    assert copy == tmp_path / "shared" / "programs-1"
    assert (copy / "bin" / "program").stat().st_mode & 0o777 == 0o755
    assert (copy / "bin").stat().st_mode & 0o777 == 0o755
    program.write_text("changed, but the version is the same")
    assert (unprivileged.readable_copy(SOMEBODY, closed / "programs", "programs-1") / "bin/program").read_text() == "v1"


def test_existing_data_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    directory = tmp_path / "cluster"
    directory.mkdir()
    owner = directory.stat()
    user = unprivileged.unprivileged_user(directory)
    if owner.st_uid != 0:
        assert user == User(owner.st_uid, owner.st_gid)
    else:
        assert user is not None
        assert user.uid != 0
