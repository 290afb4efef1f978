"""Which credits a charge takes, and when credits begin and end."""

from __future__ import annotations

from services.ledger.domain.commands import CaptureHold, Charge, CreateHold, Grant, Refund, ReleaseHold, Sweep
from services.ledger.domain.tests.spec import Story, slices

HOUR = 3600


def test_a_charge_takes_what_is_asked_and_says_from_where() -> None:
    story = Story().given(Grant(amount=100)).when(Charge(amount=30))
    story.then(("credits_charged", {"charge": "charge#1", "amount": "30", "slices": slices(grant1=30)}))
    story.answered(id="charge#1", amount="30", settled="70", held="0", owed="0", available="70")


def test_lots_burn_by_priority_then_expiry_then_bought_last_then_age() -> None:
    story = Story()
    story.given(
        Grant(amount=10, source="paid"),
        Grant(amount=10),
        Grant(amount=10),
        Grant(amount=10, expires_at=story.at(2 * HOUR)),
        Grant(amount=10, source="paid", expires_at=story.at(HOUR)),
        Grant(amount=10, priority=1),
    )
    story.when(Charge(amount=60))
    expected = slices(grant6=10, grant5=10, grant4=10, grant2=10, grant3=10, grant1=10)
    story.then(("credits_charged", {"charge": "charge#1", "amount": "60", "slices": expected}))


def test_of_two_that_expire_together_the_bought_one_burns_last() -> None:
    story = Story()
    end = story.at(HOUR)
    story.given(Grant(amount=10, source="paid", expires_at=end), Grant(amount=10, source="code", expires_at=end))
    story.when(Charge(amount=15))
    expected = slices(grant2=10, grant1=5)
    story.then(("credits_charged", {"charge": "charge#1", "amount": "15", "slices": expected}))


def test_scoped_credits_are_spent_on_their_service_only_and_first() -> None:
    story = Story().given(Grant(amount=50, priority=1), Grant(amount=20, scope=("research",)))
    story.shows(available=50).shows(service="research", available=70).shows(service="chat", available=50)
    story.when(Charge(amount=60)).refused("insufficient_credits", required="60", available="50")
    story.when(Charge(amount=30, service="research"))
    facts = {"charge": "charge#1", "amount": "30", "slices": slices(grant2=20, grant1=10), "service": "research"}
    story.then(("credits_charged", facts))


def test_expired_credits_cannot_be_spent_although_nothing_swept_them() -> None:
    story = Story()
    story.given(Grant(amount=100, expires_at=story.at(HOUR)), Grant(amount=5)).after(HOUR - 1).shows(available=105)
    story.after(1).shows(available=5, settled=5)
    story.when(Charge(amount=6)).refused("insufficient_credits", available="5")
    assert story.last is not None
    assert [story.told(event) for event in story.last.due] == [
        ("lot_expired", {"grant": "grant#1", "amount": "100", "due_at": "2026-01-01T01:00:00.000000Z"})
    ]


def test_a_sweep_only_writes_down_what_reads_already_show() -> None:
    story = Story()
    story.given(Grant(amount=100, expires_at=story.at(HOUR))).after(HOUR).shows(settled=0).when(Sweep())
    story.then(("lot_expired", {"grant": "grant#1", "amount": "100", "due_at": "2026-01-01T01:00:00.000000Z"}))
    story.shows(settled=0).when(Sweep()).then()


def test_credits_that_start_later_count_from_their_start() -> None:
    story = Story()
    story.given(Grant(amount=100, effective_at=story.at(HOUR), expires_at=story.at(2 * HOUR)))
    story.shows(settled=0, available=0).when(Charge(amount=1)).refused("insufficient_credits")
    story.after(HOUR).shows(settled=100, available=100).when(Charge(amount=40))
    started = {"started": slices(grant1=100)[0], "due_at": "2026-01-01T01:00:00.000000Z"}
    charged = {"charge": "charge#1", "amount": "40", "slices": slices(grant1=40)}
    story.then(("account_changed", started), ("credits_charged", charged))
    story.after(HOUR).shows(settled=0)


def test_a_lot_that_started_and_ended_unseen_is_lost() -> None:
    story = Story()
    story.given(Grant(amount=100, effective_at=story.at(HOUR), expires_at=story.at(2 * HOUR))).after(3 * HOUR)
    story.when(Sweep()).then(
        ("account_changed", {"started": slices(grant1=100)[0], "due_at": "2026-01-01T01:00:00.000000Z"}),
        ("lot_expired", {"grant": "grant#1", "amount": "100", "due_at": "2026-01-01T02:00:00.000000Z"}),
    )


def test_a_grant_must_end_after_it_starts() -> None:
    story = Story()
    story.when(Grant(amount=1, expires_at=story.at(0))).refused("invalid_request")
    story.when(Grant(amount=1, effective_at=story.at(9), expires_at=story.at(9))).refused("invalid_request")
    assert story.book.accounts == {}


def test_at_one_instant_holds_end_first_then_lots_end_then_lots_start() -> None:
    story = Story()
    end = story.at(60)
    story.given(
        Grant(amount=10, effective_at=end),
        Grant(amount=30, expires_at=end),
        CreateHold(amount=20, role="service", ttl_s=60),
    )
    story.after(60).when(Sweep())
    due = "2026-01-01T00:01:00.000000Z"
    free_again = {"slices": slices(grant2=20)}
    story.then(
        (
            "hold_expired",
            {"hold": "hold#1", "amount": "20", "captured_total": "0", "released": free_again, "due_at": due},
        ),
        ("lot_expired", {"grant": "grant#2", "amount": "30", "due_at": due}),
        ("account_changed", {"started": slices(grant1=10)[0], "due_at": due}),
    )


def test_what_is_due_is_applied_in_order_of_its_time_not_of_its_kind() -> None:
    story = Story()
    story.given(Grant(amount=30, expires_at=story.at(50)), CreateHold(amount=20, role="service", ttl_s=60))
    story.after(60).when(Sweep())
    lost = {"broken": slices(grant1=20)}
    story.then(
        ("lot_expired", {"grant": "grant#1", "amount": "10", "due_at": "2026-01-01T00:00:50.000000Z"}),
        (
            "hold_expired",
            {
                "hold": "hold#1",
                "amount": "20",
                "captured_total": "0",
                "released": lost,
                "due_at": "2026-01-01T00:01:00.000000Z",
            },
        ),
    )


def test_nothing_is_lost_of_what_was_used_up_before_its_end() -> None:
    story = Story()
    story.given(Grant(amount=10, expires_at=story.at(60)), Charge(amount=10)).after(61).when(Sweep()).then()


def test_an_account_that_was_never_heard_of_has_nothing_and_is_not_opened_by_a_refusal() -> None:
    story = Story().when(Charge(amount=1)).refused("insufficient_credits", required="1", available="0")
    assert story.book.accounts == {}
    for command in (CaptureHold(hold="hold_x"), ReleaseHold(hold="hold_x"), Refund(charge="charge_x")):
        story.when(command)
        assert story.last is not None
        assert story.last.status == 404
