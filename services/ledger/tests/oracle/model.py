"""What every account must show after every command, worked out again from the rules; none of the ledger's code is used.

Amounts are integer units, times seconds. The model refuses by raising `Refused` before it changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.ledger.tests.oracle.account import Account, Hold, Lot
from services.ledger.tests.oracle.tariff import CALLER, MONTHS, PLANS

GRACE_S, HOLD_S, HOLD_MAX_S, TOLERANCE_PERCENT = 1000, 60, 300, 50


class Refused(Exception):
    """The code of a refusal."""


Parts = list[tuple[Lot | None, str, int]]
"""Where a charge came from: a lot, or "overdraft", or "owed"."""


@dataclass
class Model:
    """Every account of an app. Commands are methods of their wire names; `new` yields the ids that the subject made."""

    now: float = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    charges: dict[str, tuple[str, Parts, int]] = field(default_factory=dict)
    made: int = 0

    def account(self, user: str) -> Account:
        """The account as time has left it."""
        account = self.accounts.setdefault(user, Account(plans=PLANS, months=MONTHS))
        account.make = lambda amount, start, end: self._lot(
            account, "", amount, source="allowance", start=start, end=end
        )
        account.pass_time(self.now)
        return account

    def left(self, charge: str) -> int:
        """What of a charge has not been refunded."""
        _, parts, refunded = self.charges[charge]
        return sum(n for _, _, n in parts) - refunded

    def _lot(self, account: Account, id_: str, amount: int, **terms: object) -> Lot:
        self.made += 1
        lot = Lot(id_, self.made, amount, free=amount, **{"start": self.now, **terms})  # type: ignore[arg-type]
        lot.waiting = lot.start > self.now
        account.lots.append(lot)
        account.opened = True
        return lot

    def _open(self, account: Account, *, frozen_too: bool = False) -> None:
        if account.closed:
            raise Refused("account_closed")
        if frozen_too and account.freezes:
            raise Refused("account_frozen")

    def _lacks(self, account: Account, without_debt: int, amount: int) -> Refused:
        return Refused("account_owes" if account.owed and amount <= without_debt else "insufficient_credits")

    def _lot_named(self, account: Account, id_: str) -> Lot:
        for lot in account.lots:
            if lot.id == id_:
                return lot
        raise Refused("grant_not_found")

    def _hold_named(self, account: Account, id_: str) -> Hold:
        if id_ in account.ended:
            raise Refused("hold_resolved")
        if id_ not in account.holds:
            raise Refused("hold_not_found")
        return account.holds[id_]

    def grant(
        self,
        user: str,
        id_: str,
        amount: int,
        *,
        source: str,
        priority: int,
        start: float,
        end: float,
        scope: list[str],
    ) -> None:
        account = self.account(user)
        self._open(account)
        if end <= max(start, self.now):
            raise Refused("invalid_request")
        terms = {"source": source, "priority": priority, "start": start, "end": end, "scope": tuple(scope)}
        lot = self._lot(account, id_, amount, **terms)
        if not lot.waiting:
            account.repay([lot])

    def adjust(self, user: str, amount: int) -> None:
        account = self.account(user)
        self._open(account)
        if amount > 0:
            account.repay([self._lot(account, "", amount)])
        elif -amount > account.free():
            raise Refused("insufficient_credits")
        else:
            account.take(account.usable(None), -amount)

    def charge(self, user: str, id_: str, amount: int, service: str | None, member: str | None = None) -> None:
        account = self.account(user)
        self._open(account, frozen_too=True)
        if amount > account.available(service):
            raise self._lacks(account, account.available(service) + account.owed, amount)
        if amount > account.spending.left(self.now, member, CALLER):
            raise Refused("budget_exceeded")
        account.spending.spend(self.now, member, CALLER, id_, amount)
        parts: Parts = [(lot, "", n) for lot, n in account.take(account.usable(service), amount)]
        rest = amount - sum(n for _, _, n in parts)
        account.overdrawn += rest
        self.charges[id_] = (user, [*parts, (None, "overdraft", rest)], 0)

    def refund(self, user: str, charge: str, amount: int | None) -> None:
        account = self.account(user)
        if charge not in self.charges or self.charges[charge][0] != user:
            raise Refused("charge_not_found")
        _, parts, skip = self.charges[charge]
        left = sum(n for _, _, n in parts) - skip
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            raise Refused("refund_exceeds_charge")
        account.spending.forget(charge, amount)
        self.charges[charge] = (user, parts, skip + amount)
        back: list[tuple[Lot, int]] = []
        loose = 0
        for lot, kind, part in reversed(parts):
            n = min(part - min(skip, part), amount)
            skip -= min(skip, part)
            amount -= n
            if lot is not None:
                back.append((lot, n))
            elif kind == "overdraft":
                account.overdrawn, loose = max(0, account.overdrawn - n), loose + max(0, n - account.overdrawn)
            else:
                account.owed, loose = max(0, account.owed - n), loose + max(0, n - account.owed)
        self._restore(account, back, loose)

    def _restore(self, account: Account, back: list[tuple[Lot, int]], loose: int = 0) -> None:
        """Into the lots that it came from; for dead ones, new lots on their terms for a time of grace."""
        new = []
        for lot, n in back:
            if lot.end > self.now and not lot.revoked and not lot.ended:
                lot.free += n
            elif n:
                terms = {"source": lot.source, "priority": lot.priority, "scope": lot.scope}
                new.append(self._lot(account, "", n, end=self.now + GRACE_S, **terms))
        if loose:
            new.append(self._lot(account, "", loose, source="refund"))
        account.repay(new, overdraft=False)

    def hold(
        self,
        user: str,
        id_: str,
        amount: int,
        *,
        ttl: int | None,
        service: str | None,
        grant: str | None,
        partial: bool,
        member: str | None = None,
        priced_at: float | None = None,
    ) -> None:
        """`priced_at`: when the rates held by which it can be captured."""
        account = self.account(user)
        if ttl is not None and ttl > HOLD_MAX_S:
            raise Refused("invalid_request")
        self._open(account, frozen_too=True)
        named = None if grant is None else self._lot_named(account, grant)
        parts = self._reserve(account, id_, amount, service=service, grant=named, partial=partial, member=member)
        end, limit = self.now + (ttl or HOLD_S), self.now + HOLD_MAX_S
        total = sum(n for _, n in parts)
        account.holds[id_] = Hold(id_, total, end, limit, service, parts, member, grant=named, priced_at=priced_at)

    def _reserve(
        self,
        account: Account,
        id_: str,
        amount: int,
        *,
        service: str | None,
        grant: Lot | None,
        partial: bool,
        member: str | None,
    ) -> list[tuple[Lot, int]]:
        """Pin free credits for a hold, of one grant or of all that may be spent on its service."""
        lots = account.usable(service)
        if grant is not None:
            lots = [] if grant.waiting else [grant]
        free = sum(lot.free for lot in lots)
        without_debt = min(free, free + account.limit - account.overdrawn)
        can = min(free, free + account.limit - account.overdrawn - account.owed)
        least = 1 if partial else amount
        if can < least:
            raise self._lacks(account, without_debt, least)
        budget = account.spending.left(self.now, member, CALLER)
        if budget < least:
            raise Refused("budget_exceeded")
        parts = account.take(lots, min(amount, can, budget))
        for lot, n in parts:
            lot.pinned += n
        account.spending.spend(self.now, member, CALLER, id_, sum(n for _, n in parts))
        return parts

    def capture(self, user: str, hold_id: str, id_: str, amount: int | None, final: bool) -> None:
        account = self.account(user)
        hold = self._hold_named(account, hold_id)
        pinned = sum(n for _, n in hold.parts)
        amount = pinned if amount is None else amount
        if amount <= 0:
            raise Refused("invalid_request")
        if amount > max(pinned, hold.amount + hold.amount * TOLERANCE_PERCENT // 100 - hold.captured):
            raise Refused("capture_exceeds_tolerance")
        hold.captured += amount
        drawn = min(pinned, amount)
        account.spending.capture(self.now, hold.member, hold.id, charge=id_, amount=amount, pinned=drawn)
        parts: Parts = []
        rest, debt = [], 0
        need = amount
        for lot, n in hold.parts:
            used = min(n, need)
            need -= used
            lot.pinned -= used
            escaped = max(0, lot.claimed - lot.pinned)
            lot.claimed -= escaped
            lot.gone += escaped
            debt += escaped if lot.claim_is_debt else 0
            parts.append((lot, "", used))
            rest.append((lot, n - used))
        hold.parts = [(lot, n) for lot, n in rest if n]
        parts += [(lot, "", n) for lot, n in account.take(account.usable(hold.service), need)]
        need = amount - sum(n for _, _, n in parts)
        overdraft = min(need, max(0, account.limit - account.overdrawn))
        account.overdrawn += overdraft
        account.owed += need - overdraft + debt
        self.charges[id_] = (user, [*parts, (None, "overdraft", overdraft), (None, "owed", need - overdraft)], 0)
        if final:
            account.let_go(hold, self.now)

    def extend(self, user: str, hold_id: str, ttl: int | None, more: int | None, *, partial: bool) -> None:
        account = self.account(user)
        hold = self._hold_named(account, hold_id)
        if more is not None:
            self._open(account, frozen_too=True)
            new = self._reserve(
                account,
                hold_id,
                more,
                service=hold.service,
                grant=hold.grant,
                partial=partial,
                member=hold.member,
            )
            amounts = dict(hold.parts)
            for lot, n in new:
                amounts[lot] = amounts.get(lot, 0) + n
            hold.parts = list(amounts.items())
            hold.amount += sum(n for _, n in new)
        if ttl is not None:
            hold.end = max(hold.end, min(self.now + ttl, hold.limit))

    def release(self, user: str, hold_id: str) -> None:
        account = self.account(user)
        account.let_go(self._hold_named(account, hold_id), self.now)

    def revoke(self, user: str, grant: str, amount: int | None, policy: str, hold_id: str | None) -> None:
        account = self.account(user)
        lot = self._lot_named(account, grant)
        if policy == "block" and lot.spent:
            raise Refused("grant_spent")
        if amount is not None and amount > lot.amount:
            raise Refused("invalid_request")
        left = lot.free + lot.pinned + lot.spent - lot.claimed
        if left <= 0:
            raise Refused("grant_spent")
        if hold_id is not None:
            account.let_go(self._hold_named(account, hold_id), self.now)
            left = lot.free + lot.pinned + lot.spent - lot.claimed
        amount = left if amount is None else min(amount, left)
        lot.revoked = lot.revoked or amount > 0
        taken = min(amount, lot.free)
        claimed = min(amount - taken, lot.pinned - lot.claimed)
        lot.free -= taken
        lot.claimed += claimed
        lot.claim_is_debt = policy == "debt"
        account.owed += amount - taken - claimed if policy == "debt" else 0
        lot.gone += amount - claimed

    def transfer(self, user: str, to_user: str, amount: int) -> None:
        account = self.account(user)
        if user == to_user:
            raise Refused("invalid_request")
        self._open(account, frozen_too=True)
        without_debt = min(account.free(), account.available() + account.owed)
        if amount > min(account.free(), account.available()):
            raise self._lacks(account, without_debt, amount)
        parts = account.take(account.usable(None), amount)
        other = self.account(to_user)
        if other.closed:
            self._restore(account, parts)
            return
        terms = [{"source": x.source, "priority": x.priority, "end": x.end, "scope": x.scope} for x, _ in parts]
        other.repay([self._lot(other, "", n, **t) for (_, n), t in zip(parts, terms, strict=True)])

    def freeze(self, user: str, name: str) -> None:
        account = self.account(user)
        self._open(account)
        account.opened = True
        account.freezes.add(name)

    def unfreeze(self, user: str, name: str) -> None:
        account = self.account(user)
        if name not in account.freezes:
            raise Refused("freeze_not_found")
        account.freezes.remove(name)

    def close(self, user: str) -> None:
        account = self.account(user)
        self._open(account)
        account.opened = account.closed = True

    def change(self, user: str, overdraft: int) -> None:
        account = self.account(user)
        self._open(account)
        account.opened, account.limit = True, overdraft
