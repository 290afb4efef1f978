"""A call that cannot be begun leaves no trace: neither in the count of those under way nor in the journal."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.meter.domain.calls import Call
from services.meter.domain.dialects import CHAT
from services.meter.domain.tokens import by_length
from services.meter.handlers.calls import Desk, Metered
from services.meter.journal import Journal
from services.meter.ledgers import Ledgers
from services.meter.settings import MeterSettings
from services.meter.upstream import Upstream

pytestmark = pytest.mark.anyio
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def full_at(length: int) -> Iterator[None]:
    """No file of this process can grow beyond this length, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_uses_up_no_place(tmp_path: Path) -> None:
    settings = MeterSettings(upstream="http://127.0.0.1:9", data=tmp_path, token=SecretStr("t"), calls_max=1)
    journal, ledgers, upstream = Journal(tmp_path, 1 << 20), Ledgers(settings), Upstream(settings)
    desk = Desk(settings, ledgers, journal, upstream, by_length)

    async def refused() -> type[BaseException]:
        with pytest.raises(Exception) as raised:
            async with Metered(desk, CHAT, BODY, ask=CHAT.ask(BODY), app="app", user="ada"):
                pass
        return raised.type

    with full_at(0):
        assert [await refused() for _ in range(3)] == [OSError] * 3, "and not that too many are under way"
    assert not journal.open_calls()
    await ledgers.close()
    await upstream.close()
    journal.close()


def test_what_a_full_disk_cut_off_is_not_in_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1 << 20)
    journal.begin(Call("a", "app", "ada", "m", 7))
    with full_at((tmp_path / "calls.jsonl").stat().st_size + 10), pytest.raises(OSError, match="bytes were written"):
        journal.begin(Call("b", "app", "ada", "m", 7))
    journal.begin(Call("c", "app", "ada", "m", 7))
    journal.close()
    again = Journal(tmp_path, 1 << 20)
    assert [call.id for call in again.open_calls()] == ["a", "c"]
    again.close()
