"""What codes keep of a user and of an app, behind the service's routes on a real database, without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from services.codes.handlers.batches import work_on
from services.codes.tests.office import office
from services.codes.tests.referrals.world import PROGRAMME
from services.codes.tests.test_permissions import README
from services.ledger.tests.http.client import Api
from tests.plugins.postgres import Database
from tests.security.estate import MARK, Estate

DOCUMENT: dict[str, Any] = {"switches": {"referrals": True}, "referrals": PROGRAMME}
_CHECKOUT = {"id": "order-1", "amount_minor": 2000, "currency": "USD"}
_TEXT = MARK.upper()


class CodesEstate(Estate):
    """A code, a batch, a campaign, and what ann did with them."""

    README = README
    BODIES: ClassVar[Mapping[str, Any]] = {
        "/redemptions": {"code": _TEXT, "user": "ann", "checkout": {**_CHECKOUT, "id": "order-2"}},
        "/validations": {"code": _TEXT, "user": "ann"},
        "/codes": {"kind": "recharge", "amount": "5"},
        "/batches": {"kind": "recharge", "amount": "5", "count": 1},
        "/campaigns": {"name": "another"},
        "/referrals": {"user": "eve", "code": "NOBODYS"},
        "/approve": {"reason": "known"},
        "/refuse": {"reason": "known"},
        "/config": DOCUMENT,
        "/test-clock": {"now": "2030-01-01T00:00:00Z"},
    }
    PARAMS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "/redemptions": {},
        "/entitlements": {"user": "ann"},
        "/feed": {"partition": 0},
    }
    TABLES = (
        *("configs", "campaigns", "batches", "codes", "customers", "redemptions", "entitlements", "checkouts"),
        *("referrals", "referral_codes", "referral_signals", "guesses", "refusals", "results", "outbox"),
    )
    READ = "/v1/redemptions"

    async def fill(self) -> None:
        for app in ("coins", "other"):
            await self.api.as_("admin", app=app).put("/config", DOCUMENT)
        manager = self.api.as_("manager")
        self.ids["campaigns"] = (await manager.post("/campaigns", {"name": MARK}))["id"]
        terms = {"name": MARK, "kind": "discount", "percent_off": "10", "per_user_limit": None}
        code = await manager.post("/codes", {"code": _TEXT, "campaign": self.ids["campaigns"], **terms})
        self.ids["codes"] = code["id"]
        self.ids["batches"] = (await manager.post("/batches", {**terms, "count": 1}, status=202))["id"]
        await work_on(self.api.app.state.core, self.ids["batches"])
        taken = await self.api.post("/redemptions", {"code": _TEXT, "user": "ann", "checkout": _CHECKOUT})
        self.ids["redemptions"] = taken["id"]
        own = await self.api.put("/referrals/ann")
        bound = await self.api.post("/referrals", {"user": "ben", "code": own["code"]})
        self.ids["referrals"] = bound["id"]


@asynccontextmanager
async def codes_api(database: Database, directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """A caller of the role `service` of the app `coins`, by whom the service of codes is asked."""
    async with office(database, directory, answer_s=0.05, **settings) as opened:
        yield Api(opened.http, opened.served, opened.key_file, audience="codes")
