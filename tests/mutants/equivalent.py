"""Mutants that no test can notice because they change nothing that is ever seen; each with the reason.

They are known by what they change, not by their number, which moves with the code.
"""

from __future__ import annotations

_ONE_SLICE = "a hold, and so a capture of it, has at most one slice of a lot"
_ONE_PART = "a charge has at most one part that was overdrawn and one that was owed, so there is nothing to add it to"
_NOT_ZERO = "an amount of nothing is refused before it comes here"
_NONE_IS_NONE = "`Time` and `Units` give back what they are given, and so None for None"
_UNBROKEN = "only an expired lot breaks, and a lot expires once: nothing of it is broken before"
_NOTHING_FREE = "a lot without a free part gives nothing to a hold"
_FALSY = "None and False are alike where only truth is asked"
_NO_LIMIT_NO_EXPIRY = "only a lot that has an expiry expires"

EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("_take", "emptied = False", "emptied = None"): _FALSY,
    (
        "_take",
        "emptied = False",
        "emptied = True",
    ): "what is next due is worked out more often than need be, and is the same",
    (
        "_without",
        "gone[s.lot] = gone.get(s.lot, 0) + s.amount",
        "gone[s.lot] = gone.get(None, 0) + s.amount",
    ): _ONE_SLICE,
    ("_lot_expired", "lot.broken += e.amount", "lot.broken = e.amount"): _UNBROKEN,
    (
        "_credits_granted",
        "a.earned = {**a.earned, e.earned_as: a.earned.get(e.earned_as, 0) + 1}",
        "a.earned = {**a.earned, e.earned_as: a.earned.get(None, 0) + 1}",
    ): "a rule earns once, so nothing was counted before",
    (
        "_hold_lots",
        "return [lot] if lot.free > 0 else []",
        "return [lot] if (lot.free > 0) or True else []",
    ): _NOTHING_FREE,
    ("_hold_lots", "return [lot] if lot.free > 0 else []", "return [lot] if lot.free >= 0 else []"): _NOTHING_FREE,
    ("adjust", "if command.amount > 0:", "if command.amount >= 0:"): _NOT_ZERO,
    (
        "refund",
        'open_debt = account.owed - owed if part.kind == "owed" else account.overdraft_used - overdraft',
        'open_debt = account.owed + owed if part.kind == "owed" else account.overdraft_used - overdraft',
    ): _ONE_PART,
    (
        "refund",
        'open_debt = account.owed - owed if part.kind == "owed" else account.overdraft_used - overdraft',
        'open_debt = account.owed - owed if part.kind == "owed" else account.overdraft_used + overdraft',
    ): _ONE_PART,
    ("refund", "owed += forgiven", "owed = forgiven"): _ONE_PART,
    ("refund", "overdraft += forgiven", "overdraft = forgiven"): _ONE_PART,
    (
        "expire_lot",
        "due_at = ev.Time(lot.terms.expires_at or 0)",
        "due_at = ev.Time(lot.terms.expires_at or 1)",
    ): _NO_LIMIT_NO_EXPIRY,
    (
        "returned",
        "claim = min(lot.revoking - claimed.get(s.lot, 0), s.amount)",
        "claim = min(lot.revoking + claimed.get(s.lot, 0), s.amount)",
    ): _ONE_SLICE,
    (
        "returned",
        "claim = min(lot.revoking - claimed.get(s.lot, 0), s.amount)",
        "claim = min(lot.revoking - claimed.get(None, 0), s.amount)",
    ): _ONE_SLICE,
    ("returned", "claimed[s.lot] = claimed.get(s.lot, 0) + claim", "claimed[s.lot] = None"): _ONE_SLICE,
    (
        "returned",
        "claimed[s.lot] = claimed.get(s.lot, 0) + claim",
        "claimed[s.lot] = claimed.get(s.lot, 0) - claim",
    ): _ONE_SLICE,
    (
        "returned",
        "claimed[s.lot] = claimed.get(s.lot, 0) + claim",
        "claimed[s.lot] = claimed.get(None, 0) + claim",
    ): _ONE_SLICE,
    (
        "returned",
        "claimed[s.lot] = claimed.get(s.lot, 0) + claim",
        "claimed[s.lot] = claimed.get(s.lot, 1) + claim",
    ): _ONE_SLICE,
    (
        "make_lot",
        "expires_at=None if plan.expires_at is None else ev.Time(plan.expires_at),",
        "expires_at=None if (plan.expires_at is None) and False else ev.Time(plan.expires_at),",
    ): _NONE_IS_NONE,
    (
        "debit",
        "expires_at = None if terms.expires_at is None else ev.Time(terms.expires_at)",
        "expires_at = None if (terms.expires_at is None) and False else ev.Time(terms.expires_at)",
    ): _NONE_IS_NONE,
    ("credit", "scope=incoming.scope,", ""): "credits with a scope cannot be transferred",
    ("split", "if amount <= 0:", "if amount < 0:"): "the next lot then gives a part of nothing, which is left out",
    (
        "__init__",
        "self._available_before = account.available() if self._thresholds else 0",
        "self._available_before = account.available() if (self._thresholds) or True else 0",
    ): "without thresholds it is not looked at",
    (
        "__init__",
        "self._available_before = account.available() if self._thresholds else 0",
        "self._available_before = account.available() if self._thresholds else 1",
    ): "without thresholds it is not looked at",
    (
        "capture_hold",
        "excess = split(account.burn_order(hold.terms.service), missing) if missing else []",
        "excess = split(account.burn_order(hold.terms.service), missing) if (missing) or True else []",
    ): "nothing is split off for nothing",
    (
        "_use",
        "end = None if count.end is None else ev.Time(count.end)",
        "end = None if (count.end is None) and False else ev.Time(count.end)",
    ): _NONE_IS_NONE,
    ("_allowance_reset", "plan=e.plan,", ""): "a reset is of the plan that the account has",
    (
        "_allowance_reset",
        "a.allowance.due_reset = before.due_reset if e.due_at is None else e.due_at",
        "a.allowance.due_reset = None",
    ): "it is kept in rows as those of before have it, and nothing is decided by it",
    (
        "_graduated",
        "for rate, end in zip(card.rates, ends, strict=True):",
        "for rate, end in zip(card.rates, ends, ):",
    ): "each band has an end",
}
"""(function, text taken out, text put in) → why the change is none."""


def reason_for(mutant: str, taken: str, put: str) -> str:
    """Why this mutant changes nothing, or an empty text."""
    function = mutant.rpartition("__mutmut_")[0].rpartition(".")[2].rpartition("ǁ")[2].removeprefix("x_")
    return EQUIVALENT.get((function, taken, put), "")
