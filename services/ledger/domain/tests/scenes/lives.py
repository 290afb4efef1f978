"""Lives of accounts: what adds up over several commands, and what ends meanwhile."""

from __future__ import annotations

from dataclasses import replace

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.decide.transfers import credit_for
from services.ledger.domain.state import CostBasis
from services.ledger.domain.tests.scenes.hearing import Hearing, Told


def edges() -> Told:
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


def debts() -> Told:
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


def revokes() -> Told:
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


def arrivals() -> Told:
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
    credit = replace(credit_for(debit, "ann"), transfer="transfer_1")
    heard.ask(credit, user="ben")
    heard.ask(cmd.ReturnTransfer(transfer=heard.story.id("transfer#1"), refusal="account_closed"))
    return heard.end()


def repaid() -> Told:
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


def ends() -> Told:
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
