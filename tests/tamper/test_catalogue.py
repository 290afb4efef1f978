"""What the catalogue says is noticed: by `verify` as a function, and by the command with exit code 1 and the place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.ledger.cli import cli
from tests.plugins.postgres import Database
from tests.tamper.catalogue import CATALOGUE, Tampering
from tests.tamper.columns import UNPROVEN
from tests.tamper.world import attacker, first, proven, told, victim

pytestmark = pytest.mark.anyio
VerifyCommand = Callable[[], Awaitable[Result]]


@pytest.fixture
def verify_command(books: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VerifyCommand:
    """Runs `tallystick ledger verify`."""
    monkeypatch.setenv("TALLYSTICK_DATA", str(tmp_path))
    monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", books.runtime_dsn)

    async def run() -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, ["ledger", "verify", "--jobs", "1"])

    return run


@pytest.mark.parametrize("tampering", CATALOGUE, ids=lambda one: one.what.replace(" ", "-"))
async def test_it_is_noticed(books: Database, verify_command: VerifyCommand, tampering: Tampering) -> None:
    async with attacker(books) as connection:
        place = await victim(connection, tampering.kind)
        for statement in tampering.statements:
            status = await connection.execute(statement.format(p=place.partition, n=place.position))
            assert not status.endswith(" 0"), statement
    outcome = await proven(books)
    named = [
        each for each in outcome.violations if each.invariant == tampering.invariant and tampering.says in each.detail
    ]
    assert named, told(outcome)
    result = await verify_command()
    assert result.exit_code == 1
    assert tampering.says in result.stdout
    if tampering.at is not None:
        where = (place.partition, place.position + tampering.at)
        assert where in {(each.partition, each.position) for each in named}
        earliest = first(outcome)
        assert (earliest.partition, earliest.position) == where, "nothing is found before it"
        assert f"The first bad position is {where[1]} of partition {where[0]}" in result.stdout


async def test_sound_books_are_proven(books: Database, verify_command: VerifyCommand) -> None:
    assert told(await proven(books)) == []
    assert (await verify_command()).exit_code == 0


def test_the_page_has_every_row() -> None:
    page = (Path(__file__).parent / "README.md").read_text()
    for tampering in CATALOGUE:
        assert f"| {tampering.what} | `verify`: {tampering.invariant} |" in page
    for table, column in UNPROVEN:
        assert f"| `{table}.{column}` |" in page
