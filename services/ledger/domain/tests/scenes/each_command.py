"""Each kind of command with its answers and refusals."""

from __future__ import annotations

from services.ledger.domain import commands as cmd
from services.ledger.domain.amounts import UNITS_MAX
from services.ledger.domain.state import CostBasis, Threshold
from services.ledger.domain.tests.scenes.hearing import Hearing, Told

HOUR = 3600


def grants() -> Told:
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


def charges() -> Told:
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


def holds() -> Told:
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


def transfers() -> Told:
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


def accounts() -> Told:
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
