"""X8: an app that moves here brings its users' balances and history, and tries other rules before it applies them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tallystick import AlreadyEarned, AsyncClient, NotFound

from tests.e2e.conftest import new_user
from tests.e2e.suite import Suite

pytestmark = pytest.mark.anyio
COINS = Path(__file__).parents[2] / "deploy/apps/coins.yaml"


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    """An import file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def imported(suite: Suite, file: Path, *options: str, app: str = "coins") -> tuple[int, dict[str, Any]]:
    """The exit code and the report of an import."""
    report = file.with_suffix(".report")
    done = suite.tallystick("ledger", "import", file, "--app", app, "--report", report, *options)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(report.read_bytes())
    return done.returncode, found


async def test_x8_balances_and_history_arrive_once_however_often_they_are_sent(
    suite: Suite, coins: AsyncClient, tmp_path: Path
) -> None:
    ann, bob = new_user(), new_user()
    earned = {"user": ann, "time": "2025-10-01T08:00:00Z", "kind": "bonus", "amount": "100", "action": "start"}
    used = {"user": ann, "time": "2025-10-02T08:00:00Z", "kind": "usage", "amount": "-30", "balance_after": "70"}
    openings: list[dict[str, Any]] = [
        {"user": ann, "balance": "70"},
        {"user": bob, "lots": [{"amount": "5", "source": "paid"}, {"amount": "2"}], "frozen": True},
    ]
    file = written(tmp_path / "old.jsonl", [earned, used, *openings])

    code, looked = imported(suite, file, "--dry-run")
    assert (code, looked["file"]["openings"], looked["parity"]["missing"]) == (0, 2, 2)
    code, first = imported(suite, file)
    assert (code, first["commands"]["made"], first["parity"]["equal"]) == (0, 6, 2)
    code, again = imported(suite, file)
    assert (code, again["commands"]["made"], again["commands"]["repeated"]) == (0, 0, 6)

    assert (await coins.state(ann)).available == 70
    assert (await coins.state(bob)).settled == 7
    assert (await coins.get_account(bob)).status == "frozen"
    with pytest.raises(AlreadyEarned):
        await coins.act(ann, "start")
    lines = [line async for line in coins.every_transaction(ann)]
    history = [line for line in lines if line.type == "operation_imported"]
    assert len(history) == 2


async def test_x8_what_was_left_of_a_month_is_left_here(suite: Suite, tmp_path: Path) -> None:
    ann, bob = new_user(), new_user()
    openings = [{"user": ann, "allowance": "37", "balance": "5"}, {"user": bob, "plan": "pro", "allowance": "480"}]
    file = written(tmp_path / "credits.jsonl", openings)
    for _ in range(2):
        code, report = imported(suite, file, app="ai-credits")
        assert (code, report["parity"]["equal"]) == (0, 2), report
    async with suite.client("ai-credits") as credits_of:
        assert (await credits_of.state(ann)).available == 42
        assert (await credits_of.state(bob)).available == 480


async def test_x8_a_file_with_a_wrong_line_is_not_begun(suite: Suite, coins: AsyncClient, tmp_path: Path) -> None:
    ann = new_user()
    file = written(tmp_path / "wrong.jsonl", [{"user": ann, "balance": "70"}, {"user": ann, "balance": "1.5"}])
    code, report = imported(suite, file)
    assert (code, report["commands"], report["file"]["fault_count"]) == (1, None, 1)
    assert report["file"]["faults"][0]["line"] == 2
    with pytest.raises(NotFound):
        await coins.get_account(ann)


async def test_x8_an_account_that_was_used_meanwhile_is_a_difference(
    suite: Suite, coins: AsyncClient, tmp_path: Path
) -> None:
    ann = new_user()
    file = written(tmp_path / "used.jsonl", [{"user": ann, "balance": "70"}])
    assert imported(suite, file)[0] == 0
    await coins.charge(ann, 20)
    code, report = imported(suite, file)
    assert code == 1
    (difference,) = report["parity"]["differences"]
    assert (difference["user"], difference["balance"], difference["balance_in_ledger"]) == (ann, "70", "50")


async def test_other_rules_are_tried_before_they_are_applied(suite: Suite, coins: AsyncClient, tmp_path: Path) -> None:
    ann = new_user()
    await coins.act(ann, "start")
    await coins.charge(ann, 80)
    rules = yaml.safe_load(COINS.read_text())
    rules["earning_rules"]["start"]["amount"] = "60"
    file, report = tmp_path / "coins.yaml", tmp_path / "report.jsonl"
    file.write_text(yaml.safe_dump(rules))
    period = ("--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z")
    done = suite.tallystick("ledger", "what-if", file, *period, "--report", report)
    assert done.returncode == 0, done.stderr
    (line,) = [each for each in map(json.loads, report.read_text().splitlines()) if each["user"] == ann]
    assert (line["then"]["charged"], line["now"]["charged"], line["refused"]) == (
        "80",
        "0",
        {"insufficient_credits": 1},
    )
    assert (line["then"]["settled"], line["now"]["settled"]) == ("20", "60")
    assert (await coins.state(ann)).available == 20
