"""Services with an app and one of everything in it, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.codes.tests.office import prepare_codes
from services.ledger.tests.http.client import prepare_ledger, running
from tests.plugins.postgres import DatabaseFrom
from tests.security.codes_estate import CodesEstate, codes_api
from tests.security.estate import Estate, LedgerEstate


@pytest.fixture(params=["ledger", "codes"])
async def estate(request: pytest.FixtureRequest, database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Estate]:
    """What belongs to ann of the app `coins`, in each of the services."""
    made: Estate
    if request.param == "ledger":
        async with running(await database_from("ledger-http", prepare_ledger), tmp_path) as api:
            made = LedgerEstate(api)
            await made.fill()
            yield made
    else:
        async with codes_api(await database_from("codes", prepare_codes), tmp_path) as api:
            made = CodesEstate(api)
            await made.fill()
            yield made
