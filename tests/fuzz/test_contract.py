"""The ledger answers as its OpenAPI document says, whatever a request that the document allows, or does not, holds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ledger import openapi
from services.ledger.tests.http.client import Api, prepare_ledger, served, until_ready
from services.ledger.verify.run import verify
from tests.fuzz.contract import Callers, every_operation
from tests.plugins.postgres import Database, DatabaseFrom
from tests.reliability import write_figures
from tests.security.estate import Estate, LedgerEstate

pytestmark = [
    pytest.mark.anyio,
    # Requests are drawn in a thread: a number that the ledger draws meanwhile looks as if drawing had asked for it.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"),
]

DESCRIBED = openapi.application().openapi()
LAST = ("close", "erase")
"""Little works on a closed account."""


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger-http", prepare_ledger)


@pytest.fixture
async def callers(books: Database, tmp_path: Path) -> AsyncIterator[Callers]:
    """A ledger on a port, with one of everything in it."""
    # What makes the requests takes its turns with the ledger, in one process: the lease must bear that.
    async with served(books, tmp_path, lease_answer_s=60, lease_stale_s=120) as api:
        await until_ready(api.http)
        estate = LedgerEstate(api)
        await estate.fill()
        yield callers_of(api, estate)


def callers_of(api: Api, estate: Estate) -> Callers:
    good = {"user": "ann", "asset": None, "amount": "0.01"}
    return Callers(str(api.http.base_url), lambda role: api.as_(role, sub="ann").token, estate.ids, good=good)


async def test_answers_are_as_documented(callers: Callers, books: Database) -> None:
    faults = await every_operation(DESCRIBED, callers, 3, 1, last=LAST)
    assert not faults.found, "\n\n".join(f"{name}\n{what}" for name, what in faults.found.items())
    assert {"200", "201", "400", "403", "404"} <= set(faults.statuses), faults.statuses
    assert (await verify(books.runtime_dsn)).violations == []


@pytest.mark.campaign
@pytest.mark.timeout(3600)
async def test_many_answers_are_as_documented(callers: Callers, books: Database) -> None:
    began = time.monotonic()
    seed = time.time_ns() % 1_000_000
    faults = await every_operation(DESCRIBED, callers, 150, seed, last=LAST)
    outcome = await verify(books.runtime_dsn)
    figures = {
        "seed": seed,
        "requests": faults.statuses.total(),
        "statuses": dict(sorted(faults.statuses.items())),
        "faults": sorted(faults.found),
        "violations": outcome.violation_count,
    }
    write_figures("fuzz-contract", figures, began)
    assert not faults.found, "\n\n".join(f"{name}\n{what}" for name, what in faults.found.items())
    assert outcome.ok
