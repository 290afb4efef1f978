"""The journal says what became of every call, whatever became of its process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.meter.domain.calls import Call
from services.meter.journal import Journal, JournalInUse

pytestmark = pytest.mark.anyio
BYTES_MAX = 1 << 20


def call(name: str) -> Call:
    return Call(name, "app", "ada", "m", 7)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, BYTES_MAX)
    yield journal
    journal.close()


def again(directory: Path) -> list[Call]:
    """The open calls that another process finds."""
    journal = Journal(directory, BYTES_MAX)
    journal.close()
    return journal.open_calls()


async def test_calls_are_found_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, BYTES_MAX)
    for name in ("a", "b", "c"):
        journal.begin(call(name))
    journal.held("a", "hold_1")
    journal.made("a", 4)
    journal.made("a", 5)
    journal.used("b", {"input": 9})
    journal.settled("c")
    await journal.sync()
    journal.close()
    first, second = again(tmp_path)
    assert (first.hold, first.output, first.due) == ("hold_1", 5, {"input": 7, "output": 5})
    assert (second.hold, second.due) == (None, {"input": 9})
    assert again(tmp_path) == [first, second], "what was rewritten says the same"


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_record_that_is_cut_off_was_never_written(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path, BYTES_MAX)
    journal.begin(call("a"))
    journal.made("a", 4)
    journal.close()
    file = tmp_path / "calls.jsonl"
    whole = file.read_bytes()
    begun = whole.index(b"\n") + 1
    file.write_bytes(whole[: max(len(whole) - cut, begun)])
    (found,) = again(tmp_path)
    assert found.output == 0


def test_it_belongs_to_one_process(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalInUse):
        Journal(tmp_path, BYTES_MAX)


async def test_it_stays_short(tmp_path: Path) -> None:
    journal = Journal(tmp_path, bytes_max=2000)
    journal.begin(call("open"))
    for number in range(200):
        journal.begin(call(f"call-{number}"))
        journal.made(f"call-{number}", 3)
        journal.settled(f"call-{number}")
        assert (tmp_path / "calls.jsonl").stat().st_size < 2400
    journal.made("open", 2)
    await journal.sync()
    journal.close()
    (found,) = again(tmp_path)
    assert (found.id, found.output) == ("open", 2)
