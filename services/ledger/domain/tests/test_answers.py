"""Every kind of answer and refusal, whole, as callers get it, the events behind it, and the accounts in the end.

A change of one of them is a change of what callers see, or of what the log means.
`answers.json` is what they are; `python -m services.ledger.domain.tests.test_answers` writes it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import UNITS_MAX
from services.ledger.domain.state import CostBasis, Threshold
from services.ledger.domain.tests.spec import Story

FILE = Path(__file__).with_name("answers.json")
HOUR = 3600
Told = list[dict[str, Any]]


class Hearing:
    """A story whose answers are written down, each with its command."""

    def __init__(self, **document: object) -> None:
        self.story = Story.of(**document)
        self.told: Told = []

    def ask(self, *commands: cmd.Command, user: str = "ann") -> None:
        """Do these one after another."""
        for command in commands:
            self.story.when(command, user)
            outcome = self.story.last
            assert outcome is not None
            body: dict[str, Any] = outcome.body
            if outcome.rejected is not None:
                assert body == {}
                body = {"code": outcome.rejected.code, "detail": outcome.rejected.detail, **outcome.rejected.extra}
            events = [self.story.told(event) for event in [*outcome.due, *outcome.events]]
            self.told.append(
                {"command": type(command).__name__, "status": outcome.status, "body": self._short(body)}
                | ({"events": events} if events else {})
            )

    def end(self) -> Told:
        """All that was told, and how the accounts are left."""
        for user in self.story.book.accounts:
            account = asdict(self.story.book.seen(user))
            account["crossings"] = {str(level): crossing for level, crossing in account["crossings"].items()}
            self.told.append({"account": user, **self._short(account)})
        return self.told

    def _short(self, told: dict[str, Any]) -> dict[str, Any]:
        short: dict[str, Any] = orjson.loads(self.story._short(orjson.dumps(told)))
        return short


def _grants() -> Told:
    rules = {"start": {"amount": "0.20", "expires_after_s": HOUR}, "other": {"amount": "10000000000000"}}
    heard = Hearing(assets={"coins": {"scale": 2}}, earning_rules=rules)
    at = heard.story.at
    heard.ask(
        cmd.Sweep(),
        cmd.Grant(amount=1050),
        cmd.Grant(
            amount=5,
            source="paid",
            priority=7,
            effective_at=at(HOUR),
            expires_at=at(2 * HOUR),
            scope=("chat", "draw"),
            cost_basis=CostBasis(499, "EUR"),
        ),
        cmd.Grant(amount=5, expires_at=at(0)),
        cmd.Grant(amount=UNITS_MAX),
        cmd.Act(action="start"),
        cmd.Act(action="start"),
        cmd.Act(action="nothing"),
        cmd.Act(action="other"),
        cmd.Adjust(amount=100),
        cmd.Adjust(amount=-100),
        cmd.Adjust(amount=UNITS_MAX),
        cmd.Adjust(amount=-9999),
        cmd.Revoke(grant="grant#1", amount=1051),
        cmd.Charge(amount=300, service="chat"),
        cmd.Revoke(grant="grant#1", policy="block"),
        cmd.Revoke(grant="grant#1", amount=250, policy="absorb"),
        cmd.Revoke(grant="grant#1", policy="debt"),
        cmd.Revoke(grant="grant#1"),
        cmd.Revoke(grant="grant_none"),
        cmd.Revoke(grant="grant#2", hold="hold_none"),
    )
    return heard.end()


def _charges() -> Told:
    heard = Hearing(assets={"coins": {"scale": 2}}, policies={"top_up_url": "https://example.com/pay"})
    heard.ask(
        cmd.Grant(amount=1000),
        cmd.Grant(amount=300, scope=("chat",)),
        cmd.Charge(amount=400, service="chat"),
        cmd.Charge(amount=250),
        cmd.Charge(amount=651),
        cmd.Charge(amount=651, service="chat"),
        cmd.Refund(charge="charge#1", amount=150),
        cmd.Refund(charge="charge#1", amount=251),
        cmd.Refund(charge="charge#1"),
        cmd.Refund(charge="charge#1"),
        cmd.Refund(charge="charge_none"),
        cmd.Revoke(grant="grant#1", policy="debt"),
        cmd.Grant(amount=100, scope=("draw",)),
        cmd.Charge(amount=1, service="chat"),
        cmd.CreateHold(amount=1, role="service", service="chat"),
        cmd.Charge(amount=200, service="chat"),
        cmd.CreateHold(amount=200, role="service", service="chat"),
    )
    return heard.end()


def _holds() -> Told:
    heard = Hearing(
        assets={"coins": {"scale": 2}},
        hold_limits={"default_s": 60, "max_s": 300},
        policies={"capture_tolerance_percent": 50},
    )
    heard.ask(
        cmd.CaptureHold(hold="hold_none"),
        cmd.Grant(amount=1000),
        cmd.Grant(amount=200, scope=("chat",)),
        cmd.CreateHold(amount=100, role="service", ttl_s=301),
        cmd.CreateHold(amount=9999, role="service"),
        cmd.CreateHold(amount=9999, role="service", service="chat", partial=True),
        cmd.ExtendHold(hold="hold#1", ttl_s=120),
        cmd.CaptureHold(hold="hold#1", amount=100, final=False),
        cmd.ExtendHold(hold="hold#1", ttl_s=130),
        cmd.CaptureHold(hold="hold#1", amount=1100, final=False),
        cmd.CaptureHold(hold="hold#1"),
        cmd.CaptureHold(hold="hold#1", amount=601),
        cmd.CaptureHold(hold="hold#1", amount=600),
        cmd.CaptureHold(hold="hold#1", amount=600),
        cmd.Grant(amount=1000),
        cmd.CreateHold(amount=100, role="service", ttl_s=30, grant="grant#3"),
        cmd.CreateHold(amount=100, role="service", grant="grant_none"),
        cmd.CaptureHold(hold="hold#2", amount=40, final=False),
        cmd.ReleaseHold(hold="hold#2"),
        cmd.ReleaseHold(hold="hold#2"),
        cmd.CreateHold(amount=100, role="service", ttl_s=30),
        cmd.CaptureHold(hold="hold#3", amount=70, final=False),
    )
    heard.story.after(31)
    heard.ask(cmd.CaptureHold(hold="hold#3"), cmd.ExtendHold(hold="hold#3", ttl_s=5))
    return heard.end()


def _transfers() -> Told:
    heard = Hearing(assets={"coins": {"scale": 2}})
    heard.ask(
        cmd.Grant(amount=1000),
        cmd.Transfer(to_user="ann", amount=1),
        cmd.Transfer(to_user="ben", amount=1001),
        cmd.Transfer(to_user="ben", amount=250),
        cmd.ReturnTransfer(transfer="transfer_none", refusal="x"),
    )
    lot = cmd.IncomingLot(amount=250, source="paid", priority=3, expires_at=None, scope=(), cost_basis=None)
    heard.ask(cmd.CreditTransfer(transfer="transfer_1", from_user="ann", lots=(lot,)), user="ben")
    heard.ask(cmd.Close(), user="cho")
    outcome = heard.story.book.do("ann", cmd.Transfer(to_user="cho", amount=100))
    back = heard.story.book.arrive("ann", outcome.body["id"])
    shown = {**back.body, "id": "same" if back.body["id"] == outcome.body["id"] else "other"}
    heard.told.append({"command": "ReturnTransfer", "status": back.status, "body": shown})
    return heard.end()


def _accounts() -> Told:
    heard = Hearing(assets={"coins": {"scale": 2}})
    heard.ask(
        cmd.Erase(),
        cmd.ChangeAccount(overdraft_limit=500, zone="Europe/Paris", thresholds=(Threshold(100, 250),)),
        cmd.Charge(amount=200),
        cmd.Freeze(name="fraud"),
        cmd.Charge(amount=1),
        cmd.Unfreeze(name="other"),
        *(cmd.Freeze(name=f"freeze{number}") for number in range(100)),
        *(cmd.Unfreeze(name=f"freeze{number}") for number in range(100)),
        cmd.Erase(),
        cmd.Close(),
        cmd.Grant(amount=1),
        cmd.Close(),
    )
    heard.told = [one for one in heard.told if len(one["body"].get("freezes", ())) < 3]
    heard.ask(cmd.Charge(amount=1))
    heard.ask(cmd.ChangeAccount(zone="UTC"), cmd.Unfreeze(name="x"), user="ben")
    heard.ask(cmd.Freeze(name="a"), cmd.Unfreeze(name="a"), user="ben")
    return heard.end()


def _edges() -> Told:
    """Amounts of one unit, all that there is, and moments that fall together."""
    heard = Hearing()
    at = heard.story.at
    heard.ask(
        cmd.Grant(amount=10),
        cmd.Charge(amount=10),
        cmd.Refund(charge="charge#1", amount=1),
        cmd.CreateHold(amount=5, role="service", grant="grant#1", partial=True),
        cmd.CreateHold(amount=1, role="service", grant="grant#1"),
        cmd.CaptureHold(hold="hold#1", amount=1),
        cmd.Refund(charge="charge#2"),
        cmd.Adjust(amount=-1),
        cmd.Grant(amount=4, scope=("chat",)),
        cmd.CreateHold(amount=4, role="service", grant="grant#2"),
        cmd.ReleaseHold(hold="hold#2"),
        cmd.Revoke(grant="grant#2", amount=3),
        cmd.Revoke(grant="grant#2"),
        cmd.Grant(amount=7),
        cmd.CreateHold(amount=7, role="service"),
        cmd.Revoke(grant="grant#3", amount=1, policy="absorb"),
        cmd.ReleaseHold(hold="hold#3"),
        cmd.Grant(amount=7),
        cmd.Revoke(grant="grant#4", amount=7),
        cmd.Grant(amount=8, expires_at=at(10)),
        cmd.Charge(amount=8),
        cmd.Grant(amount=9, effective_at=at(0)),
        cmd.Grant(amount=6, expires_at=at(10)),
        cmd.Grant(amount=5, effective_at=at(10), expires_at=at(20)),
        cmd.CreateHold(amount=15, role="service", ttl_s=10),
    )
    heard.story.after(10)
    heard.ask(cmd.Refund(charge="charge#3"), cmd.Charge(amount=1))
    heard.story.after(10)
    heard.ask(cmd.Sweep(), cmd.CreateHold(amount=2, role="service", grant="grant#6"))
    return heard.end()


def _debts() -> Told:
    """What is overdrawn and owed, added up over several commands and paid back over several more."""
    heard = Hearing(policies={"capture_tolerance_percent": 100}, thresholds=[{"below": "50", "rearm_at": "80"}])
    heard.ask(
        cmd.ChangeAccount(overdraft_limit=100),
        cmd.Charge(amount=30),
        cmd.Charge(amount=40),
        cmd.Grant(amount=3, effective_at=heard.story.at(0)),
        cmd.Adjust(amount=20),
        cmd.Adjust(amount=15),
        cmd.Refund(charge="charge#1", amount=10),
        cmd.Refund(charge="charge#2", amount=40),
        cmd.Grant(amount=60),
        cmd.CreateHold(amount=60, role="service"),
        cmd.CaptureHold(hold="hold#1", amount=110, final=False),
        cmd.CaptureHold(hold="hold#1", amount=10),
        cmd.Grant(amount=100),
        cmd.Refund(charge="charge#3"),
        cmd.Refund(charge="charge#4"),
        cmd.Charge(amount=120),
        cmd.Grant(amount=100, effective_at=heard.story.at(5)),
    )
    heard.story.after(5)
    heard.ask(cmd.Sweep(), cmd.Charge(amount=20), cmd.ChangeAccount(overdraft_limit=0))
    return heard.end()


def _revokes() -> Told:
    """Holds over several lots, some of which are revoked or expire before the hold ends."""
    heard = Hearing(policies={"capture_tolerance_percent": 50})
    labels = cmd.Labels(reference="call-1", member="team-1")
    heard.ask(
        cmd.Grant(amount=30, expires_at=heard.story.at(40)),
        cmd.Grant(amount=30, source="code"),
        cmd.Grant(amount=30, source="paid", scope=("chat",)),
        cmd.CreateHold(amount=85, role="service", service="chat", ttl_s=100, labels=labels),
        cmd.Revoke(grant="grant#2", amount=10, policy="debt"),
        cmd.Revoke(grant="grant#2", policy="debt"),
        cmd.CaptureHold(hold="hold#1", amount=35, final=False),
        cmd.CaptureHold(hold="hold#1", amount=12, final=False),
        cmd.Revoke(grant="grant#1", amount=5, policy="absorb"),
        cmd.Revoke(grant="grant#3", amount=25, policy="absorb"),
        cmd.ExtendHold(hold="hold#1", ttl_s=120),
    )
    heard.story.after(50)
    heard.ask(cmd.CaptureHold(hold="hold#1", amount=3, final=False))
    heard.story.after(70)
    heard.ask(cmd.Grant(amount=50), cmd.Refund(charge="charge#1"), cmd.Refund(charge="charge#2", amount=2))
    heard.ask(cmd.CreateHold(amount=20, role="service", labels=labels), cmd.Grant(amount=3, scope=("draw",)))
    heard.ask(cmd.CreateHold(amount=20, role="service", service="draw", ttl_s=5), cmd.Charge(amount=10))
    heard.ask(cmd.Grant(amount=4, scope=("draw",)), cmd.CaptureHold(hold="hold#3", amount=26))
    heard.ask(cmd.Revoke(grant="grant#4", policy="debt", hold="hold#2"))
    return heard.end()


def _arrivals() -> Told:
    """Transfers of several lots to an account that owes and is overdrawn, and what comes back."""
    heard = Hearing()
    heard.ask(cmd.ChangeAccount(overdraft_limit=100), cmd.Charge(amount=90), user="ben")
    at = heard.story.at
    heard.ask(
        cmd.Grant(amount=50, expires_at=at(5)),
        cmd.Grant(amount=60, source="code", priority=101, cost_basis=CostBasis(100, "EUR")),
        cmd.Grant(amount=70, source="paid", priority=102),
        cmd.Transfer(to_user="cho", amount=10),
        cmd.Transfer(to_user="ben", amount=170),
    )
    heard.story.after(5)
    debit = heard.story.book.events["ann"][-1]
    assert isinstance(debit, ev.TransferDebited)
    lots = tuple(
        cmd.IncomingLot(
            amount=part.amount,
            source=part.source,
            priority=part.priority,
            expires_at=part.expires_at,
            scope=part.scope,
            cost_basis=part.cost_basis,
        )
        for part in debit.slices
    )
    heard.ask(cmd.CreditTransfer(transfer="transfer_1", from_user="ann", lots=lots), user="ben")
    heard.ask(cmd.ReturnTransfer(transfer=heard.story.id("transfer#1"), refusal="account_closed"))
    return heard.end()


def _repaid() -> Told:
    """Debts of two kinds in one charge, and what is due later while they are repaid."""
    heard = Hearing(
        policies={"capture_tolerance_percent": 100},
        thresholds=[{"below": "50", "rearm_at": "80"}, {"below": "500", "rearm_at": "900"}],
    )
    at = heard.story.at
    heard.ask(
        cmd.ChangeAccount(overdraft_limit=20),
        cmd.Grant(amount=50),
        cmd.CreateHold(amount=50, role="service"),
        cmd.CaptureHold(hold="hold#1", amount=100),
        cmd.Grant(amount=5, effective_at=at(9)),
        cmd.Grant(amount=10),
        cmd.Grant(amount=800, expires_at=at(30)),
        cmd.Refund(charge="charge#1"),
        cmd.Charge(amount=600),
    )
    heard.story.after(9)
    heard.ask(cmd.Sweep())
    # Somebody who owes, is overdrawn, and receives a lot that has ended on the way and one that has not.
    heard.ask(
        cmd.ChangeAccount(overdraft_limit=100),
        cmd.Grant(amount=30),
        cmd.Charge(amount=130),
        cmd.Revoke(grant="grant#6", policy="debt"),
        user="ben",
    )
    terms = {"source": "paid", "priority": 100, "scope": (), "cost_basis": None}
    lots = (
        cmd.IncomingLot(amount=40, expires_at=at(-1), **terms),  # type: ignore[arg-type]
        cmd.IncomingLot(amount=70, expires_at=None, **terms),  # type: ignore[arg-type]
    )
    heard.ask(cmd.Transfer(to_user="ben", amount=110))
    heard.ask(cmd.CreditTransfer(transfer="transfer_1", from_user="ann", lots=lots), user="ben")
    return heard.end()


def _ends() -> Told:
    """What is left of a grant that was partly lost, revoked and captured in turn: nothing of it counts twice."""
    heard = Hearing()
    heard.ask(
        cmd.Grant(amount=30, expires_at=heard.story.at(10)),
        cmd.CreateHold(amount=20, role="service"),
    )
    heard.story.after(10)
    heard.ask(
        cmd.ReleaseHold(hold="hold#1"),
        cmd.Revoke(grant="grant#1"),
        cmd.Grant(amount=30),
        cmd.CreateHold(amount=20, role="service"),
        cmd.Revoke(grant="grant#2", amount=15, policy="debt"),
        cmd.CaptureHold(hold="hold#2"),
        cmd.Revoke(grant="grant#2", policy="absorb"),
        cmd.Revoke(grant="grant#2"),
    )
    return heard.end()


SCENES: dict[str, Callable[[], Told]] = {
    "grants": _grants,
    "charges": _charges,
    "holds": _holds,
    "transfers": _transfers,
    "accounts": _accounts,
    "edges": _edges,
    "debts": _debts,
    "revokes": _revokes,
    "arrivals": _arrivals,
    "repaid": _repaid,
    "ends": _ends,
}


@pytest.mark.parametrize("scene", SCENES)
def test_answers_are_what_they_were(scene: str) -> None:
    expected = orjson.loads(FILE.read_bytes())[scene]
    told = orjson.loads(orjson.dumps(SCENES[scene]()))
    for now, before in zip(told, expected, strict=True):
        assert now == before


def _text() -> bytes:
    """One answer a line, so that a change of one is one line's difference."""
    scenes = []
    for name, scene in SCENES.items():
        lines = b",\n".join(b"  " + orjson.dumps(one) for one in scene())
        scenes.append(b'"%s": [\n%s\n]' % (name.encode(), lines))
    return b"{%s}\n" % b",\n".join(scenes)


if __name__ == "__main__":
    FILE.write_bytes(_text())
