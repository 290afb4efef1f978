"""The ledger's commands as their user types them, beside a running ledger."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from libs.events.dead_letters import PermanentError, Place, bury
from libs.service.cli_support import CliError
from libs.service.clock import format_time
from libs.service.keys import ensure_keys
from services.ledger.cli import cli
from services.ledger.cli.access import Access
from services.ledger.store.violations import Found, record
from services.ledger.tests.http.client import served, until_ready
from services.ledger.tests.support import Ledger
from services.ledger.tests.truth.scenario import everything
from services.ledger.tests.truth.test_verify import place, tampering
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

Tallystick = Callable[..., Awaitable[Result]]


@pytest.fixture
def tallystick(books: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tallystick:
    """Runs a command, in a thread of its own, while the ledger goes on; the result with its output and exit code."""
    ensure_keys(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    monkeypatch.setenv("TALLYSTICK_DATA", str(tmp_path))
    monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", books.runtime_dsn)
    monkeypatch.setenv("TALLYSTICK_LEDGER_OWNER_DSN", books.owner_dsn)

    async def run(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit | CliError):
            raise result.exception
        return result

    return run


def failed_with(result: Result) -> int:
    assert isinstance(result.exception, CliError)
    return result.exception.code


async def test_verify_proves_sound_books(ledger: Ledger, tallystick: Tallystick) -> None:
    await everything(ledger)
    assert (await tallystick("ledger", "anchor")).exit_code == 0
    result = await tallystick("ledger", "verify", "--jobs", "1")
    assert result.exit_code == 0
    assert result.stdout.startswith("The books are proven: ")
    assert "in 4 partitions, 1 texts, 1 anchors" in result.stdout


async def test_verify_names_the_first_bad_position(ledger: Ledger, books: Database, tallystick: Tallystick) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        partition, position = await place(connection, "credits_charged")
        await connection.execute(
            "UPDATE events SET actor = 'x' WHERE (partition, position) = ($1, $2)", partition, position
        )
    result = await tallystick("ledger", "verify", "--partition", str(partition))
    assert result.exit_code == 1
    assert f"I4: partition {partition}, position {position}: the hash of event_" in result.stdout
    assert f"The first bad position is {position} of partition {partition} (I4)." in result.stdout
    assert failed_with(await tallystick("ledger", "verify", "--partition", "99")) == 2


async def test_a_violation_is_shown_and_cleared_with_a_reason(ledger: Ledger, tallystick: Tallystick) -> None:
    assert (await tallystick("ledger", "violations")).exit_code == 0
    await record(ledger.pool, [Found("I5", 3, None, "lots: too many"), Found("I4", 1, 7, "a hash")], "a test")
    shown = await tallystick("ledger", "violations")
    assert shown.exit_code == 1
    assert "I5, partition 3: lots: too many" in shown.stdout
    assert "I4, partition 1, position 7: a hash" in shown.stdout
    one = await tallystick("ledger", "resume", "--violation", "1", "--reason", "rebuilt", "--by", "ann")
    assert (one.exit_code, one.stdout) == (0, "1 violations cleared by ann; 1 still stop writes.\n")
    assert failed_with(await tallystick("ledger", "resume", "--reason", " ")) == 2
    assert (await tallystick("ledger", "resume", "--reason", "restored", "--by", "ben")).exit_code == 0
    assert (await tallystick("ledger", "violations")).exit_code == 0
    kept = (await tallystick("ledger", "violations", "--all")).stdout
    assert "by ann: rebuilt" in kept
    assert "by ben: restored" in kept


async def test_an_unreachable_database_is_3(tallystick: Tallystick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", "postgresql://nobody:x@127.0.0.1:1/nothing")
    assert failed_with(await tallystick("ledger", "verify")) == 3


async def test_the_machines_own_ledger_is_found_by_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TALLYSTICK_DATA", "TALLYSTICK_LEDGER_DSN", "TALLYSTICK_LEDGER_OWNER_DSN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLYSTICK_PORT_BASE", "9000")
    below = tmp_path / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with pytest.raises(CliError, match="no ledger is found"):
        _ = Access().dsn
    (tmp_path / ".data" / "postgres").mkdir(parents=True)
    (tmp_path / ".data" / "postgres" / "passwords.json").write_text('{"ledger": "a/b", "ledger_owner": "c"}')
    assert Access().dsn == "postgresql://ledger:a%2Fb@127.0.0.1:9032/ledger"
    assert Access().owner_dsn == "postgresql://ledger_owner:c@127.0.0.1:9032/ledger"
    assert Access().anchors == tmp_path / ".data" / "anchors"


async def test_rebuild_compares_and_swaps(ledger: Ledger, books: Database, tallystick: Tallystick) -> None:
    await everything(ledger)
    assert "nothing differs" in (await tallystick("ledger", "rebuild", "--jobs", "1")).stdout
    async with tampering(books) as connection:
        await connection.execute("UPDATE accounts SET owed = 7 WHERE user_id = 'ben'")
    result = await tallystick("ledger", "rebuild", "--jobs", "1")
    assert result.exit_code == 1
    assert "accounts: coins/ben/coins: owed is 7, the log says 0" in result.stdout
    assert (await tallystick("ledger", "rebuild", "--jobs", "1", "--swap")).exit_code == 0
    assert (await tallystick("ledger", "verify", "--jobs", "1")).exit_code == 0


async def test_replay_tells_an_account_as_it_was(ledger: Ledger, tallystick: Tallystick) -> None:
    start = ledger.clock.now_us()
    await ledger.do("grant", "ann", amount=1000, expires_at=start + 50_000_000, reference="order 7")
    ledger.clock.advance(10)
    await ledger.do("charge", "ann", amount=300)
    ledger.clock.advance(10)
    await ledger.do("charge", "ann", amount=200)

    async def settled(*options: str) -> str:
        result = await tallystick("ledger", "replay", "--app", "coins", "--user", "ann", "--json", *options)
        return str(json.loads(result.stdout)["settled"])

    assert await settled() == "5.00"
    assert await settled("--until", format_time(start + 10_000_000)) == "7.00"
    assert await settled("--until", format_time(start + 5_000_000)) == "10.00"
    assert await settled("--until", format_time(start + 60_000_000)) == "0.00", "its lot has expired by then"
    view = json.loads((await tallystick("ledger", "replay", "--app", "coins", "--user", "ann", "--json")).stdout)
    assert await settled("--position", str(view["events"][1]["position"])) == "10.00"
    table = (await tallystick("ledger", "replay", "--app", "coins")).stdout
    assert "settled 5.00, held 0.00, owed 0.00, available 5.00" in table
    assert "order 7" in table
    assert failed_with(await tallystick("ledger", "replay", "--app", "coins", "--user", "eve")) == 1
    assert failed_with(await tallystick("ledger", "replay", "--app", "coins", "--position", "3")) == 2
    assert failed_with(await tallystick("ledger", "replay", "--app", "coins", "--until", "noon")) == 2


async def test_export_gives_a_user_all_that_is_kept(ledger: Ledger, tallystick: Tallystick) -> None:
    text = '{"description": "=1+1, privately"}'
    await ledger.do("grant", "ann", amount=1000)
    ledger.clock.advance(10)
    middle = format_time(ledger.clock.now_us())
    await ledger.do("charge", "ann", amount=300, text=text, reference="job 1")
    await ledger.do("grant", "ben", amount=5)
    of_ann = ("ledger", "export", "--app", "coins", "--user", "ann")
    lines = [json.loads(line) for line in (await tallystick(*of_ann)).stdout.splitlines()]
    assert [line["type"].split(".")[1] for line in lines] == ["account_opened", "credits_granted", "credits_charged"]
    assert lines[-1]["text"] == {"description": "=1+1, privately"}
    later = [json.loads(line) for line in (await tallystick(*of_ann, "--from", middle)).stdout.splitlines()]
    earlier = [json.loads(line) for line in (await tallystick(*of_ann, "--to", middle)).stdout.splitlines()]
    assert earlier + later == lines
    journal = (await tallystick(*of_ann, "--lines", "transactions", "--format", "csv")).stdout
    rows = list(csv.DictReader(StringIO(journal)))
    assert [(row["before"], row["after"]) for row in rows] == [("0.00", "0.00"), ("0.00", "10.00"), ("10.00", "7.00")]
    assert rows[-1]["description"] == "'=1+1, privately"
    everyone = (await tallystick("ledger", "export", "--app", "coins")).stdout.splitlines()
    assert {json.loads(line)["user"] for line in everyone} == {"@app", "ann", "ben"}


async def test_dead_letters_are_listed_and_asked_for_again(ledger: Ledger, tallystick: Tallystick) -> None:
    assert (await tallystick("dead-letters", "list")).exit_code == 0
    async with ledger.pool.acquire() as connection:
        where = Place("ledger", "unknown", "ledger.commands", 3, cluster_id="c", offset=9)
        await bury(connection, where, PermanentError("not_json", "no envelope"))
    result = await tallystick("dead-letters", "list")
    assert result.exit_code == 1
    assert "open  ledger.commands/3  unreadable  not_json" in result.stdout
    number = result.stdout.split()[0]
    assert (await tallystick("dead-letters", "replay", number)).exit_code == 0
    letter = json.loads((await tallystick("dead-letters", "list", "--json")).stdout)
    assert (letter["state"], letter["detail"]) == ("requested", "no envelope")
    assert failed_with(await tallystick("dead-letters", "replay", "12345")) == 1


async def test_tail_shows_the_last_events(
    books: Database, tallystick: Tallystick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(books, tmp_path) as api:
        await until_ready(api.http)
        await api.as_("admin").put("/config", {"assets": {"coins": {"scale": 2}}})
        await api.grant("ann", "10")
        await api.grant("ben", "20", reference="order 7")
        monkeypatch.setenv("TALLYSTICK_LEDGER_URL", str(api.http.base_url))
        lines = (await tallystick("events", "tail")).stdout.splitlines()
        kinds = [line.split("  ")[3] for line in lines]
        assert kinds == ["config_applied", "account_opened", "credits_granted", "account_opened", "credits_granted"]
        assert "reference=order 7  settled=20.00" in lines[-1]
        last = (await tallystick("events", "tail", "--last", "1", "--type", "credits_granted", "--json")).stdout
        assert json.loads(last)["subject"] == "ben"
        assert (await tallystick("events", "tail", "--app", "other")).stdout == ""
    assert failed_with(await tallystick("events", "tail")) == 3
