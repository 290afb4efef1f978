"""What the role of codes can do to its database: what was published stays, and what was counted is never taken out."""

from __future__ import annotations

import asyncpg
import pytest

from libs.service.db import connect
from services.codes.tests.office import prepare_codes
from tests.plugins.postgres import Database, DatabaseFrom
from tests.security.rights import FORBIDDEN, MESSAGING, rights_of

pytestmark = pytest.mark.anyio

ALLOWED = {
    **MESSAGING,
    "batches": "SELECT INSERT UPDATE",
    "campaigns": "SELECT INSERT UPDATE",
    "checkouts": "SELECT INSERT UPDATE",
    "code_users": "SELECT INSERT UPDATE",
    "codes": "SELECT INSERT UPDATE",
    "configs": "SELECT INSERT",
    "customers": "SELECT INSERT UPDATE",
    "entitlements": "SELECT INSERT UPDATE",
    "guess_alarms": "SELECT INSERT UPDATE DELETE",
    "guess_windows": "SELECT INSERT UPDATE DELETE",
    "guesses": "SELECT INSERT UPDATE DELETE",
    "order_revenue": "SELECT INSERT UPDATE",
    "redemptions": "SELECT INSERT UPDATE",
    "referral_apps": "SELECT INSERT UPDATE",
    "referral_codes": "SELECT INSERT UPDATE",
    "referral_months": "SELECT INSERT UPDATE",
    "referral_refunds": "SELECT INSERT UPDATE DELETE",
    "referral_rewards": "SELECT INSERT UPDATE",
    "referral_signals": "SELECT INSERT UPDATE",
    "referrals": "SELECT INSERT UPDATE",
    "refusals": "SELECT INSERT UPDATE DELETE",
    "results": "SELECT INSERT UPDATE DELETE",
}
"""Guesses and refusals are forgotten when they no longer count, answers after 35 days."""
OF_CODES = (
    "UPDATE outbox SET data = data",
    "UPDATE outbox SET topic = topic",
    "DELETE FROM codes",
    "DELETE FROM redemptions",
    "DELETE FROM code_users",
    "DELETE FROM campaigns",
    "DELETE FROM referral_rewards",
    "UPDATE configs SET document = document",
    "TRUNCATE codes, redemptions CASCADE",
)


@pytest.fixture
async def database(database_from: DatabaseFrom) -> Database:
    """The database of codes."""
    return await database_from("codes", prepare_codes)


async def test_every_table_has_the_rights_that_it_needs_and_no_more(database: Database) -> None:
    assert await rights_of(database) == ALLOWED


async def test_only_the_numbers_of_what_is_published_are_filled_in(database: Database) -> None:
    connection = await connect(database.runtime_dsn, application_name="codes")
    try:
        columns = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attnum > 0"
            " AND has_column_privilege(attrelid, attnum, 'UPDATE')"
        )
    finally:
        await connection.close()
    assert {row["attname"] for row in columns} == {"seq", "prevseq"}


async def test_the_runtime_role_is_refused(database: Database) -> None:
    for statement in (*FORBIDDEN, *OF_CODES):
        connection = await connect(database.runtime_dsn, application_name="codes")
        try:
            said = statement.format(
                log="outbox", owner=database.owner, runtime=database.runtime, database=database.name
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(said)
        finally:
            await connection.close()
