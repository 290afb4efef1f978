"""The machine: any commands in any order, time passing in between, a subject and the model side by side.

After each step the subject must have refused what the model refuses, under the same code, and show the same
balances.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import inf
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.ledger.tests.oracle.model import Refused
from services.ledger.tests.oracle.subject import START, Subject
from services.ledger.tests.oracle.tariff_model import TariffModel

USERS = ("ann", "ben")
SERVICES = (None, "chat")
users = st.sampled_from(USERS)
services = st.sampled_from(SERVICES)
picks = st.integers(0, 19)
amounts = st.sampled_from([1, 30, 50, 75, 100, 150, 300])
maybe_amounts = st.none() | amounts
spans = st.sampled_from([1, 30, 60, 90, 300])
Named = tuple[str, str]
"""(user, id) of something that was made."""


def text(units: int) -> str:
    """Units of an asset with two decimals as a decimal string."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    return f"{sign}{units // 100}.{units % 100:02d}"


def nth(made: list[Named], pick: int) -> Named:
    """The latest for 0, the one before for 1, and so on, round and round."""
    return made[-1 - pick % len(made)]


class LedgerMachine(RuleBasedStateMachine):
    """Rules are commands. A number drawn with a rule picks what it is about among what earlier ones made."""

    make: ClassVar[Callable[[], Subject]]

    def __init__(self) -> None:
        super().__init__()
        self.subject = type(self).make()
        self.model = TariffModel()
        self.grants: list[Named] = []
        self.charges: list[Named] = []
        self.holds: list[Named] = []
        self.done: list[tuple[str, dict[str, Any], str, str, int, dict[str, Any]]] = []

    def teardown(self) -> None:
        self.subject.close()

    @initialize(
        amounts=st.tuples(st.sampled_from([0, 250, 1000]), st.sampled_from([0, 1000])),
        overdraft=st.sampled_from([0, 50]),
    )
    def start(self, amounts: tuple[int, int], overdraft: int) -> None:
        """Most trials begin with credits, so that they do not end with refusals only."""
        if overdraft:
            self.change(USERS[0], overdraft)
        for user, amount in zip(USERS, amounts, strict=True):
            if amount:
                self.adjust(user, amount, down=False)

    def a_hold(self, pick: int) -> Named:
        """Mostly an open hold, if there is one."""
        open_ones = [named for named in self.holds if named[1] in self.model.accounts[named[0]].holds]
        return nth(open_ones if open_ones and pick % 5 else self.holds, pick)

    def a_charge(self, pick: int) -> Named:
        """Mostly a charge of which something is left."""
        left = [named for named in self.charges if self.model.left(named[1])]
        return nth(left if left and pick % 5 else self.charges, pick)

    def both(
        self,
        command: str,
        user: str,
        fields: dict[str, Any],
        model: Callable[[dict[str, Any]], None],
        keep: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Ask the subject, then the model, which is given the subject's body for the ids in it. {} if refused.

        `keep` are fields that say something by being null.
        """
        fields = {name: value for name, value in fields.items() if value is not None or name in keep}
        key = f"key-{len(self.done)}"
        status, body = self.subject.execute(command, fields, user, key)
        self.done.append((command, fields, user, key, status, body))
        try:
            model(body)
            expected = "done"
        except Refused as refused:
            expected = str(refused)
        assert (body["code"] if status >= 400 else "done") == expected, (command, fields, status, body)
        return {} if status >= 400 else body

    @rule(
        user=users,
        amount=amounts,
        source=st.sampled_from(["paid", "promo", "code"]),
        priority=st.sampled_from([50, 100]),
        start=st.sampled_from([None, None, 30, 60]),
        lasts=st.none() | st.sampled_from([60, 90, 400]),
        scope=st.sampled_from([[], [], ["chat"], ["chat", "draw"], ["draw"]]),
    )
    def grant(
        self,
        *,
        user: str,
        amount: int,
        source: str,
        priority: int,
        start: int | None,
        lasts: int | None,
        scope: list[str],
    ) -> None:
        begins = self.model.now + (start or 0)
        ends = inf if lasts is None else self.model.now + lasts
        fields = {"amount": text(amount), "source": source, "priority": priority, "scope": scope}
        if start is not None:
            fields["effective_at"] = (START + timedelta(seconds=begins)).isoformat()
        if lasts is not None:
            fields["expires_at"] = (START + timedelta(seconds=ends)).isoformat()
        body = self.both(
            "grant_credits",
            user,
            fields,
            lambda body: self.model.grant(
                user, body.get("id", ""), amount, source=source, priority=priority, start=begins, end=ends, scope=scope
            ),
        )
        if body:
            self.grants.append((user, body["id"]))

    @rule(user=users, amount=amounts, down=st.booleans())
    def adjust(self, user: str, amount: int, down: bool) -> None:
        signed = -amount if down else amount
        fields = {"amount": text(signed), "reason": "correction"}
        self.both("adjust_balance", user, fields, lambda _: self.model.adjust(user, signed))

    @rule(user=users, amount=amounts, service=services)
    def charge(self, user: str, amount: int, service: str | None, member: str | None = None) -> None:
        fields = {"amount": text(amount), "service": service, "member": member}
        body = self.both(
            "charge_credits",
            user,
            fields,
            lambda body: self.model.charge(user, body.get("id", ""), amount, service, member),
        )
        if body:
            self.charges.append((user, body["id"]))

    @precondition(lambda self: self.charges)
    @rule(pick=picks, amount=maybe_amounts)
    def refund(self, pick: int, amount: int | None) -> None:
        user, id_ = self.a_charge(pick)
        fields = {"charge": id_, "amount": None if amount is None else text(amount)}
        self.both("refund_charge", user, fields, lambda _: self.model.refund(user, id_, amount))

    @rule(
        user=users,
        amount=amounts,
        ttl=st.none() | st.sampled_from([30, 60, 100, 300, 301]),
        service=services,
        partial=st.booleans(),
    )
    def hold(self, user: str, amount: int, ttl: int | None, service: str | None, partial: bool) -> None:
        self.reserve(user, amount, ttl=ttl, service=service, grant=None, partial=partial)

    @precondition(lambda self: self.grants)
    @rule(amount=amounts, service=services, pick=picks, partial=st.booleans())
    def hold_on_grant(self, amount: int, service: str | None, pick: int, partial: bool) -> None:
        user, grant = nth(self.grants, pick)
        self.reserve(user, amount, ttl=None, service=service, grant=grant, partial=partial)

    def reserve(
        self,
        user: str,
        amount: int,
        *,
        ttl: int | None,
        service: str | None,
        grant: str | None,
        partial: bool,
        member: str | None = None,
    ) -> bool:
        """A hold; whether it was made."""
        fields = {"amount": text(amount), "ttl_s": ttl, "service": service, "grant": grant, "partial": partial}
        fields["member"] = member
        body = self.both(
            "create_hold",
            user,
            fields,
            lambda body: self.model.hold(
                user,
                body.get("id", ""),
                amount,
                ttl=ttl,
                service=service,
                grant=grant,
                partial=partial,
                member=member,
            ),
        )
        if body:
            self.holds.append((user, body["id"]))
        return bool(body)

    @precondition(lambda self: self.holds)
    @rule(pick=picks, amount=maybe_amounts, final=st.booleans())
    def capture(self, pick: int, amount: int | None, final: bool) -> None:
        self.take(self.a_hold(pick), amount, final=final)

    def take(self, hold: Named, amount: int | None, *, final: bool) -> None:
        """A capture of this hold."""
        user, id_ = hold
        fields = {"hold": id_, "amount": None if amount is None else text(amount), "final": final}
        body = self.both(
            "capture_hold",
            user,
            fields,
            lambda body: self.model.capture(user, id_, body.get("charge", ""), amount, final),
        )
        if body:
            self.charges.append((user, body["charge"]))

    @precondition(lambda self: self.holds)
    @rule(
        pick=picks,
        ttl=st.sampled_from([10, 100, 300, 1000]),
        then=st.sampled_from([0, 60, 300]),
        more=st.none() | amounts,
        partial=st.booleans(),
    )
    def extend(self, *, pick: int, ttl: int, then: int, more: int | None, partial: bool) -> None:
        """Extended in time, or by more and perhaps in time, and perhaps put to use."""
        user, id_ = self.a_hold(pick)
        lasting = ttl if more is None or ttl < 1000 else None
        fields = {"hold": id_, "ttl_s": lasting, "amount": None if more is None else text(more), "partial": partial}
        self.both("extend_hold", user, fields, lambda _: self.model.extend(user, id_, lasting, more, partial=partial))
        if then:
            self.advance(then)

    @precondition(lambda self: self.holds)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        user, id_ = self.a_hold(pick)
        self.both("release_hold", user, {"hold": id_}, lambda _: self.model.release(user, id_))

    @rule(
        user=users,
        estimate=amounts,
        actual=amounts,
        service=services,
        takes=st.sampled_from([0, 0, 30, 60]),
        parts=st.integers(1, 3),
    )
    def call(self, *, user: str, estimate: int, actual: int, service: str | None, takes: int, parts: int) -> None:
        """What a call of a model does: an estimate is held, time passes, the actual cost is captured, in parts."""
        if not self.reserve(user, estimate, ttl=60, service=service, grant=None, partial=True):
            return
        if takes:
            self.advance(takes)
        hold = self.holds[-1]
        for part in range(parts):
            self.take(hold, actual, final=part == parts - 1)

    @rule(
        user=users,
        amount=amounts,
        service=services,
        policy=st.sampled_from([None, "debt", "absorb"]),
        later=st.sampled_from([0, 60, 400]),
        back=maybe_amounts,
    )
    def regret(
        self, *, user: str, amount: int, service: str | None, policy: str | None, later: int, back: int | None
    ) -> None:
        """A charge that is given back, after its grant may have been revoked or have expired."""
        before = len(self.charges)
        self.charge(user, amount, service)
        if len(self.charges) == before:
            return
        own = [number for number, (owner, _) in enumerate(reversed(self.grants)) if owner == user]
        if policy and own:
            self.revoke(own[0], None, policy)
        if later:
            self.advance(later)
        self.refund(0, back)

    @precondition(lambda self: self.grants)
    @rule(pick=picks, amount=maybe_amounts, policy=st.sampled_from(["debt", "absorb", "block"]))
    def revoke(self, pick: int, amount: int | None, policy: str) -> None:
        user, id_ = nth(self.grants, pick)
        fields = {"grant": id_, "amount": None if amount is None else text(amount), "policy": policy}
        self.both("revoke_grant", user, fields, lambda _: self.model.revoke(user, id_, amount, policy, None))

    @precondition(lambda self: self.grants and self.holds)
    @rule(pick=picks, pick_hold=picks, policy=st.sampled_from(["debt", "absorb"]))
    def revoke_with_hold(self, pick: int, pick_hold: int, policy: str) -> None:
        user, id_ = nth(self.grants, pick)
        owner, hold = self.a_hold(pick_hold)
        if owner == user:
            fields = {"grant": id_, "policy": policy, "hold": hold}
            self.both("revoke_grant", user, fields, lambda _: self.model.revoke(user, id_, None, policy, hold))

    @rule(user=users, to_user=users, amount=amounts)
    def transfer(self, user: str, to_user: str, amount: int) -> None:
        fields = {"to_user": to_user, "amount": text(amount)}
        self.both("transfer_credits", user, fields, lambda _: self.model.transfer(user, to_user, amount))

    @precondition(lambda self: len(self.done) % 5 == 1)
    @rule(user=users, name=st.sampled_from(["manual", "fraud"]), lift=st.integers(0, 3))
    def freeze(self, user: str, name: str, lift: int) -> None:
        """Lifted more often than put on, so that trials are not spent on refusals."""
        fields = {"unique_ref": name}
        if lift:
            self.both("unfreeze_account", user, fields, lambda _: self.model.unfreeze(user, name))
        else:
            self.both("freeze_account", user, fields, lambda _: self.model.freeze(user, name))

    @precondition(lambda self: len(self.done) % 5 == 0)
    @rule(user=users, overdraft=st.sampled_from([0, 50, 300]))
    def change(self, user: str, overdraft: int) -> None:
        self.both("change_account", user, {"overdraft": text(overdraft)}, lambda _: self.model.change(user, overdraft))

    @precondition(lambda self: len(self.done) > 25)
    @rule(user=st.just("ben"))
    def close(self, user: str) -> None:
        self.both("close_account", user, {}, lambda _: self.model.close(user))

    @rule(seconds=spans | st.just(1000))
    def advance(self, seconds: int) -> None:
        self.subject.advance(seconds)
        self.model.now += seconds

    @precondition(lambda self: self.done)
    @rule(back=st.integers(0, 20), changed=st.booleans())
    def repeat(self, back: int, changed: bool) -> None:
        """The same key again: the first answer; with another body: refused. Neither changes anything."""
        command, fields, user, key, status, body = self.done[-1 - back % len(self.done)]
        if status == 400:
            return
        if changed:
            again = self.subject.execute(command, {**fields, "reference": "another"}, user, key)
            assert (again[0], again[1]["code"]) == (422, "idempotency_key_reused")
        else:
            assert self.subject.execute(command, fields, user, key) == (status, body)

    @invariant()
    def shows_what_the_model_shows(self) -> None:
        for user in USERS:
            account = self.model.account(user)
            for service in SERVICES:
                state = self.subject.state(user, service)
                assert (state is not None) == account.opened
                if state is not None:
                    shown = {name: state[name] for name in ("settled", "held", "owed", "available")}
                    assert shown == {
                        "settled": text(account.settled),
                        "held": text(account.held),
                        "owed": text(account.owed),
                        "available": text(account.available(service)),
                    }, (user, service)
                    lots = [(lot["remaining"], lot["held"]) for lot in state["lots"] if lot["remaining"] != text(0)]
                    assert lots == [(text(remaining), text(held)) for remaining, held in account.shown()], user
