"""A verifier that knew more of the log than a restored database has goes on with what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.service.keys import ensure_keys
from services.ledger.anchors import anchor_once
from services.ledger.tests.kafka.test_restore import copy_of, tallystick
from services.ledger.tests.support import Ledger, ledger_on
from services.ledger.tests.truth.scenario import everything
from services.ledger.tests.truth.test_verify import tampering
from services.ledger.tests.verifier.support import counted, verifying
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


async def _grants(ledger: Ledger, times: int) -> None:
    for number in range(times):
        await ledger.do("grant", f"user{number % 8}", amount=number + 1)


async def test_it_goes_on_after_a_restore_and_a_new_stream(books: Database, tmp_path: Path) -> None:
    """Neither its file nor the anchors of what was lost make it stop writes, and it still finds what is wrong."""
    key = ensure_keys(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    before = counted()
    async with ledger_on(books) as ledger:
        await everything(ledger)
        await anchor_once(ledger.pool, tmp_path / "anchors", key)
    backup = copy_of(books)
    try:
        async with ledger_on(books) as ledger, verifying(books, tmp_path) as verifier:
            await _grants(ledger, 24)
            await anchor_once(ledger.pool, tmp_path / "anchors", key)
            await verifier.catches_up()
            lost = sum(verifier.verifier.verified.values())
        begun = await tallystick(backup, tmp_path, "--yes")
        assert begun.startswith("0: "), begun
        async with ledger_on(backup) as ledger, verifying(backup, tmp_path) as verifier:
            await verifier.catches_up()
            await verifier.patrols()
            assert sum(verifier.verifier.verified.values()) < lost
            # What is written now has the places of what was lost, which anchors knew otherwise.
            await _grants(ledger, 40)
            await anchor_once(ledger.pool, tmp_path / "anchors", key)
            await verifier.catches_up()
            await verifier.patrols()
            assert sum(verifier.verifier.verified.values()) > lost
            assert await verifier.details() == []
            assert counted() == before
            async with tampering(backup) as connection:
                await connection.execute("UPDATE accounts SET settled = settled + 1 WHERE user_id = 'user1'")
            assert {one[0] for one in await verifier.finds("I5")} == {"I5"}
    finally:
        books.admin.drop_database(backup.name)
