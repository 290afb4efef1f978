"""Codes as checkouts use them, by the handlers themselves: no broker and no HTTP, a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from libs.events.commands import Outcome
from libs.events.contracts.base import decode, encode
from libs.events.contracts.ledger.commands import GrantCredits, RevokeGrant
from libs.events.contracts.payments.events import OrderEvent
from libs.events.envelope import Envelope
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US, LateClocks, ManualClock
from libs.service.db import connect
from services.codes.core import Core
from services.codes.domain.codes import Code, Credits, Kind, Terms
from services.codes.domain.discounts import Checkout, Discount
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.domain.specs import ConfigDocument
from services.codes.handlers.ending import end_redemptions
from services.codes.handlers.outcomes import settle
from services.codes.handlers.paying import Paying
from services.codes.handlers.reserving import Order, Refused, reserve
from services.codes.running import core_of
from services.codes.settings import CodesSettings
from services.codes.store import campaigns, codes, redemptions, verifying
from services.codes.store.campaigns import Campaign
from tests.plugins.postgres import Database

APP = "shop"
NOW_US = 1_800_000_000 * SECOND_US
CAUSE = Cause(actor="test")


@dataclass(slots=True)
class Shop:
    """One app's codes. `told` numbers what is told of orders."""

    core: Core
    clock: ManualClock
    owner_dsn: str
    told: int = field(default=0)

    async def configure(self, **spec: Any) -> None:
        """Apply the app's section `codes`."""
        document = ConfigDocument.model_validate({"codes": spec})
        await self.core.configs.apply(APP, document, None, "test", self.clock.now_us())

    async def code(self, text: str, *, kind: Kind = "discount", amount: str | None = None, **terms: Any) -> Code:
        """Make a code: `terms` are of a discount, or limits of the code."""
        limits = {name: terms.pop(name) for name in list(terms) if name in Code.__dataclass_fields__}
        if isinstance(terms.get("percent_off"), str):
            terms["percent_off"] = Decimal(terms["percent_off"])
        made = Code(
            id=self.core.new_id("code", APP),
            app=APP,
            kind=kind,
            terms=Terms(
                None if amount is None else Credits(Decimal(amount)),
                Discount(**terms) if {"percent_off", "amount_off_minor"} & terms.keys() else None,
            ),
            text=text,
            last4=text[-4:],
            balance=Decimal(amount) if kind == "gift" and amount is not None else None,
            created_at=self.clock.now_us(),
            created_by="test",
            **limits,
        )
        async with self.core.pool.acquire() as connection, connection.transaction():
            assert await codes.insert(connection, made, self.core.digest(APP, text))
        return made

    async def campaign(self, name: str, **budgets: Any) -> Campaign:
        """Make a campaign with `budget`, or `budget_minor` in `currency`."""
        campaign = Campaign(
            self.core.new_id("campaign", APP),
            APP,
            name,
            **{"budget": None, "budget_minor": None, "currency": None} | budgets,
            created_at=self.clock.now_us(),
            created_by="test",
        )
        async with self.core.pool.acquire() as connection, connection.transaction():
            assert await campaigns.insert(connection, campaign)
        return campaign

    async def reserve(self, text: str, user: str, checkout: str | None = None, **more: Any) -> Redemption:
        """Use a code, for a checkout if one is named; its amount is 40.00 USD unless `more` says otherwise."""
        bought = None
        if checkout is not None:
            bought = Checkout(
                checkout,
                more.pop("amount_minor", 4000),
                more.pop("currency", "USD"),
                more.pop("service", None),
                more.pop("method", None),
            )
        order = Order(APP, user, text, "test", CAUSE, bought, **more)
        async with self.core.pool.acquire() as connection, connection.transaction():
            return await reserve(self.core, connection, order)

    async def refusal(self, text: str, user: str, checkout: str | None = None, **more: Any) -> str | None:
        """Why a use of a code is refused; None if it is not."""
        try:
            await self.reserve(text, user, checkout, **more)
        except Refused as refused:
            return refused.refusal.code
        return None

    async def end(self, *claims: Claim) -> None:
        """End redemptions, as endpoints and timers do."""
        async with self.core.pool.acquire() as connection, connection.transaction():
            await end_redemptions(self.core, connection, claims, CAUSE)

    async def tell(self, *events: OrderEvent, user: str) -> None:
        """Let these events of payments take effect in one transaction."""
        envelopes = []
        for event in events:
            self.told += 1
            envelopes.append(
                Envelope(
                    id=f"event_{self.told}",
                    source="payments",
                    type=event.TYPE,
                    time_us=self.clock.now_us(),
                    subject=user,
                    app=APP,
                    data=encode(event),
                )
            )
        async with self.core.pool.acquire() as connection, connection.transaction():
            await Paying(self.core)(connection, envelopes)

    async def commands(self) -> list[tuple[str, GrantCredits | RevokeGrant]]:
        """The commands that wait for an answer of the ledger, by id, in the order in which they were sent."""
        rows = await self.core.pool.fetch(
            "SELECT o.message_id, o.type, o.data FROM outbox o JOIN sent_commands s ON s.command_id = o.message_id"
            " WHERE s.answered_at IS NULL ORDER BY o.id"
        )
        sent = [(row["message_id"], decode(row["type"], row["data"])) for row in rows]
        return [(name, command) for name, command in sent if isinstance(command, GrantCredits | RevokeGrant)]

    async def ledger_answers(self, *, refusing: Sequence[str] = ()) -> None:
        """Let the ledger obey all commands that wait; those of the types in `refusing` it refuses."""
        for command_id, command in await self.commands():
            if command.TYPE in refusing:
                kind, told = "ledger.command_refused.v1", {"status": 409, "detail": "closed", "code": "account_closed"}
            elif isinstance(command, GrantCredits):
                kind, told = "ledger.credits_granted.v1", {"lot": {"grant": grant_of(command.unique_ref or "")}}
            else:
                kind, told = "ledger.grant_revoked.v1", {"grant": command.grant, "taken": "1"}
            outcome = Outcome(command_id, f"event_of_{command_id}", kind, orjson.dumps(told))
            async with self.core.pool.acquire() as connection, connection.transaction():
                await settle(self.core, connection, {command_id: outcome})
                await connection.execute(
                    "UPDATE sent_commands SET answered_at = now() WHERE command_id = $1", command_id
                )

    async def find(self, redemption_id: str) -> Redemption:
        """A redemption as it is now."""
        found = await redemptions.by_id(self.core.pool, APP, redemption_id)
        assert found is not None
        return found

    async def now(self, code: Code) -> Code:
        """A code as it is now."""
        found = await codes.by_id(self.core.pool, APP, code.id)
        assert found is not None
        return found

    async def campaign_now(self, campaign: Campaign) -> Campaign:
        """A campaign as it is now."""
        found = await campaigns.find(self.core.pool, APP, campaign.id)
        assert found is not None
        return found

    async def entitlements(self, user: str) -> list[tuple[str, str]]:
        """A user's entitlements: (id, status)."""
        rows = await self.core.pool.fetch("SELECT id, status FROM entitlements WHERE user_id = $1 ORDER BY id", user)
        return [(row["id"], row["status"]) for row in rows]

    async def events(self) -> list[str]:
        """The types of what was told, in order, without the service and the version."""
        rows = await self.core.pool.fetch("SELECT type FROM outbox WHERE type LIKE 'codes.%' ORDER BY id")
        return [row["type"].split(".")[1] for row in rows]

    async def spoil(self, statement: str) -> None:
        """Change what nobody may: as the database's owner."""
        connection = await connect(self.owner_dsn, application_name="spoil")
        try:
            assert not (await connection.execute(statement)).endswith(" 0")
        finally:
            await connection.close()

    async def differences(self) -> list[str]:
        """What does not add up."""
        async with self.core.pool.acquire() as connection:
            return [str(one) for one in await verifying.differences(connection)]


@asynccontextmanager
async def shop_at(database: Database, directory: Path) -> AsyncIterator[Shop]:
    """A shop at a database that is made ready."""
    pepper = directory / "codes.pepper"
    pepper.write_bytes(b"pepper" * 8)
    settings = CodesSettings.model_validate(
        {"dsn": database.runtime_dsn, "pepper_file": pepper, "partitions": 4, "pool_max": 10, "lock_timeout_ms": 60_000}
    )
    clock = ManualClock(NOW_US)
    async with core_of(settings, clock, LateClocks(), "test") as core:
        yield Shop(core, clock, database.owner_dsn)


def grant_of(redemption_id: str) -> str:
    """The grant that the ledger makes for a redemption."""
    return redemption_id.replace("redemption_", "grant_")
