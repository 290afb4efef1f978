"""Referrals by their handlers: what HTTP, payments and the ledger would bring is said here word by word."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import libs.events
from libs.events.contracts.base import Contract, Event, decode
from libs.events.contracts.ledger.commands import GrantCredits
from libs.events.contracts.ledger.events.app import CommandRefused
from libs.events.contracts.ledger.events.balances import CreditsGranted, GrantRevoked
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.envelope import Envelope
from libs.events.outbox import Cause
from libs.service.clock import LateClocks, ManualClock, to_datetime
from services.codes.core import Core
from services.codes.domain.referrals.signals import SignalKind, digests_of
from services.codes.domain.specs import ConfigDocument
from services.codes.handlers.referrals.binding import Coming, bind
from services.codes.handlers.referrals.earning import order_paid, order_refunded, pay_out
from services.codes.handlers.referrals.outcomes import outcome
from services.codes.handlers.referrals.owning import OwnCode, make_own
from services.codes.handlers.referrals.reviewing import Verdict, approve, refuse
from services.codes.running import core_of
from services.codes.settings import CodesSettings
from services.codes.store import referrals, rewards
from services.codes.store.referrals import Referral
from services.codes.store.rewards import Reward

E = TypeVar("E", bound=Event)
CORPUS = Path(libs.events.__path__[0]) / "corpus"
CAUSE = Cause(actor="manager:mia")
PROGRAMME: dict[str, Any] = {"referrer": {"amount": "20"}, "month_max_credits": "1000"}


def example(kind: type[E]) -> E:
    """An event of this type as the ledger once told it."""
    made = decode(kind.TYPE, (CORPUS / f"{kind.TYPE}.json").read_bytes())
    assert isinstance(made, kind)
    return made


def time_text(time_us: int) -> str:
    """As events write times."""
    return to_datetime(time_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class World:
    """One process's handlers, and a ledger that grants what it is asked for, once."""

    core: Core
    clock: ManualClock
    app: str = "vpn"
    refuses: Callable[[GrantCredits], bool] = lambda _command: False
    granted: list[tuple[str, str, Decimal]] = field(default_factory=list)
    """What the ledger granted: (unique_ref, user, amount)."""
    revoked: list[str] = field(default_factory=list)
    """Grants that the ledger took back."""

    @property
    def now_us(self) -> int:
        """The time."""
        return self.clock.now_us()

    async def configure(self, app: str = "vpn", *, zone: str = "UTC", switch: bool = True, **terms: Any) -> None:
        """Apply an app's programme; what is not said is as in :data:`PROGRAMME`."""
        self.app = app
        document = ConfigDocument.model_validate(
            {"zone": zone, "switches": {"referrals": switch}, "referrals": {**PROGRAMME, **terms}}
        )
        await self.core.configs.apply(app, document, None, "test", self.now_us)

    async def own(self, user: str, text: str | None = None, **signals: str) -> str:
        """Make or find the user's own code."""
        digests = self._digests(signals)
        async with self.core.pool.acquire() as connection, connection.transaction():
            return await make_own(self.core, connection, OwnCode(self.app, user, "service:bot", text, digests))

    async def bind(self, user: str, code: str, **signals: str) -> Referral | None:
        """Bind somebody by a code."""
        coming = Coming(self.app, user, code, self._digests(signals), "service:bot", CAUSE)
        async with self.core.pool.acquire() as connection, connection.transaction():
            return await bind(self.core, connection, coming)

    def _digests(self, signals: dict[str, str]) -> dict[SignalKind, bytes]:
        given: dict[SignalKind, str] = signals  # type: ignore[assignment]
        return digests_of(self.core.pepper, self.app, given)

    async def pay(self, user: str, order: str, amount_minor: int = 1000, **said: Any) -> None:
        """Payments tell that an order was paid."""
        event = OrderPaid(
            order=order,
            checkout=f"checkout_{order}",
            total_minor=amount_minor,
            amount_minor=amount_minor,
            currency=said.pop("currency", "USD"),
            method="card",
            started_at=time_text(self.now_us),
            payment=f"payment_{order}",
            settled_at=time_text(said.pop("settled_us", self.now_us)),
            **said,
        )
        async with self.core.pool.acquire() as connection, connection.transaction():
            await order_paid(self.core, connection, self._envelope(event, user), event)

    async def refund(
        self, user: str, order: str, refunded_minor: int = 1000, *, whole: bool = True, at_us: int | None = None
    ) -> None:
        """Payments tell that so much of an order went back in all."""
        event = OrderRefunded(
            order=order,
            checkout=f"checkout_{order}",
            total_minor=max(1000, refunded_minor),
            amount_minor=max(1000, refunded_minor),
            currency="USD",
            method="card",
            started_at=time_text(self.now_us),
            refund=f"refund_{secrets.token_hex(4)}",
            refunded_at=time_text(self.now_us if at_us is None else at_us),
            refunded_minor=refunded_minor,
            refunded_total_minor=refunded_minor,
            whole=whole,
            reason="asked_for",
        )
        async with self.core.pool.acquire() as connection, connection.transaction():
            await order_refunded(self.core, connection, self._envelope(event, user), event)

    def _envelope(self, event: Contract, user: str, causation: str | None = None) -> Envelope:
        return Envelope(
            id=f"event_{secrets.token_hex(8)}",
            source="payments",
            type=event.TYPE,
            time_us=self.now_us,
            subject=user,
            app=self.app,
            data=b"",
            causation_id=causation,
        )

    async def approve(self, referral: Referral) -> Referral:
        """A manager lets it earn."""
        async with self.core.pool.acquire() as connection, connection.transaction():
            return await approve(self.core, connection, Verdict(self.app, referral.id, "known", CAUSE))

    async def refuse(self, referral: Referral) -> Referral:
        """A manager refuses it."""
        async with self.core.pool.acquire() as connection, connection.transaction():
            return await refuse(self.core, connection, Verdict(self.app, referral.id, "a farm", CAUSE))

    async def fire(self) -> int:
        """The timer looks once; how many rewards it took."""
        due = await rewards.due(self.core.pool, self.now_us, {}, 1000)
        for one in due:
            async with self.core.pool.acquire() as connection, connection.transaction():
                await pay_out(self.core, connection, one)
        return len(due)

    async def ledger(self) -> None:
        """The ledger answers what it was asked."""
        while rows := await self.core.pool.fetch(
            "UPDATE sent_commands s SET answered_at = now() FROM outbox o WHERE o.message_id = s.command_id"
            " AND answered_at IS NULL RETURNING o.id, o.message_id, o.type, o.data, o.app, o.subject"
        ):
            for row in sorted(rows, key=lambda row: int(row["id"])):
                event = self._answer(row["message_id"], decode(row["type"], row["data"]))
                envelope = self._envelope(event, row["subject"], row["message_id"])
                async with self.core.pool.acquire() as connection, connection.transaction():
                    await outcome(self.core, connection, envelope, event)

    def _answer(self, command_id: str, command: Contract | None) -> CreditsGranted | GrantRevoked | CommandRefused:
        if not isinstance(command, GrantCredits):
            grant = getattr(command, "grant", "")
            assert any(grant == _grant_of(ref) for ref, _, _ in self.granted)
            self.revoked.append(grant)
            revoked = example(GrantRevoked)
            return revoked.model_copy(update={"grant": grant})
        if self.refuses(command):
            return CommandRefused(
                command=command_id, command_type=command.TYPE, status=409, code="account_closed", detail="", user="u"
            )
        assert command.unique_ref is not None
        assert command.source == "referral"
        self.granted.append((command.unique_ref, command.user, Decimal(str(command.amount))))
        granted = example(CreditsGranted)
        lot = granted.lot.model_copy(update={"grant": _grant_of(command.unique_ref)})
        return granted.model_copy(update={"lot": lot})

    async def referral(self, referee: str) -> Referral:
        """By whom somebody came."""
        found = await referrals.of_referee(self.core.pool, self.app, referee)
        assert found is not None
        return found

    async def rewards(self, referee: str) -> dict[str, Reward]:
        """What it earns, by role."""
        found = await self.referral(referee)
        return {one.role: one for one in await rewards.of_referral(self.core.pool, found.id)}

    async def events(self) -> list[str]:
        """The types of what was told of the app, in order, without the service's name and the version."""
        rows = await self.core.pool.fetch(
            "SELECT type FROM outbox WHERE topic = 'codes.events' AND app = $1 ORDER BY id", self.app
        )
        return [row["type"].split(".")[1] for row in rows]

    def got(self, user: str) -> Decimal | int:
        """What the user was granted."""
        return sum((amount for _, who, amount in self.granted if who == user), start=Decimal(0))


def _grant_of(unique_ref: str) -> str:
    return unique_ref.replace("reward_", "grant_")


@asynccontextmanager
async def opened(dsn: str, folder: Path) -> AsyncIterator[World]:
    """The world on a prepared database."""
    pepper = folder / "codes.pepper"
    pepper.write_bytes(secrets.token_bytes(48).hex().encode())
    settings = CodesSettings(
        dsn=dsn, pepper_file=pepper, data=folder, kafka="127.0.0.1:1", jwks_file=folder / "jwks.json", env="test"
    )
    clock = ManualClock()
    async with core_of(settings, clock, LateClocks(), "test") as core:
        yield World(core, clock)
