"""Codes as managers make them, from the terminal: K1."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.e2e.suite import Suite

pytestmark = pytest.mark.anyio

APP = ("--app", "kernel")


def done(suite: Suite, *arguments: str | Path) -> str:
    """What a command prints; it must end well."""
    ended = suite.tallystick("codes", *arguments, *APP)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


async def test_k1_a_chosen_code_is_made_listed_paused_and_redeemed(suite: Suite, user: str) -> None:
    text = f"SPRING{user[-6:]}".upper()
    terms = ("--kind", "bonus", "--name", "Spring", "--amount", "40", "--max-uses", "5")
    assert done(suite, "create", "--code", text, *terms) == text
    assert text in done(suite, "list", "--kind", "bonus", "--limit", "500")
    assert done(suite, "pause", text).endswith("paused")
    async with suite.http("kernel", service="codes") as http:
        refused = await http.write("redemptions", {"code": text, "user": user})
        assert (refused.status_code, refused.json()["code"]) == (409, "code_inactive")
        assert done(suite, "resume", text.lower()).endswith("active")
        made = await http.write("redemptions", {"code": text, "user": user})
        assert (made.status_code, made.json()["amount"]) == (201, "40"), made.text
    shown = done(suite, "show", text)
    assert re.search(r"redeemed\s*│\s*1\b", shown), shown
    assert done(suite, "void", text).endswith("void")


async def test_k1_a_made_code_is_printed_once_and_can_be_redeemed_once(suite: Suite, user: str) -> None:
    text = done(suite, "create", "--amount", "10", "--prefix", "new")
    assert re.fullmatch(r"NEW-[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{5}", text)
    async with suite.http("kernel", service="codes") as http:
        made = await http.write("redemptions", {"code": text.lower().replace("-", " "), "user": user})
        assert made.status_code == 201, made.text
        again = await http.write("redemptions", {"code": text, "user": f"{user}-2"})
        # Who holds no made code learns nothing of one.
        assert again.json()["code"] in ("code_not_found", "code_used_up")
    assert text not in done(suite, "list", "--limit", "500")


async def test_k1_a_batch_is_made_exported_once_redeemed_and_voided(suite: Suite, user: str, tmp_path: Path) -> None:
    batch = done(suite, "batch", "5000", "--amount", "25", "--name", "Gift card", "--ends-at", "2099-01-01T00:00:00Z")
    file = tmp_path / "codes.csv"
    done(suite, "export", batch, file)
    assert file.stat().st_mode & 0o077 == 0
    with file.open(newline="") as lines:
        texts = [row["code"] for row in csv.DictReader(lines)]
    assert len(set(texts)) == 5000
    async with suite.http("kernel", service="codes") as http:
        made = await http.write("redemptions", {"code": texts[4999], "user": user})
        assert (made.status_code, made.json()["amount"]) == (201, "25"), made.text
        again = suite.tallystick("codes", "export", batch, tmp_path / "again.csv", *APP)
        assert again.returncode == 1
        assert "already_exported" in again.stderr
        assert not (tmp_path / "again.csv").exists()
        assert done(suite, "void", batch).endswith("void")
        refused = await http.write("redemptions", {"code": texts[0], "user": user})
        assert refused.json()["code"] in ("code_not_found", "code_inactive")


async def test_k1_a_sheet_of_cards_is_written_to_a_file(suite: Suite, tmp_path: Path) -> None:
    batch = done(suite, "batch", "12", "--amount", "25", "--name", "کارت هدیه")
    sheet = tmp_path / "cards.pdf"
    done(suite, "export", batch, sheet, "--lang", "fa")
    assert sheet.read_bytes().startswith(b"%PDF")


def test_k1_what_is_wrong_is_named_on_the_terminal(suite: Suite, tmp_path: Path) -> None:
    refused = suite.tallystick("codes", "create", "--kind", "discount", "--amount", "1", *APP)
    assert refused.returncode == 1
    assert "discount_missing" in refused.stderr
    taken = tmp_path / "taken.csv"
    taken.write_text("")
    refused = suite.tallystick("codes", "export", "batch_none", taken, *APP)
    assert refused.returncode == 2
    assert suite.tallystick("codes", "show", "NOSUCHCODE", *APP).returncode == 1


def test_k9_statistics_on_the_terminal(suite: Suite) -> None:
    said = done(suite, "stats", "--by", "kind")
    for word in ("expired", "used_up", "usage", "all", "welcome"):
        assert word in said, said
