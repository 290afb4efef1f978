"""Refusals of the domain as problem documents, each with what its caller can do next."""

from __future__ import annotations

from libs.service.problems import FeatureDisabled, InvalidRequest, NotFound, NotLeader, Problem, ScopeMissing
from services.ledger.domain.rejections import Rejected

NEXT = {
    "account_closed": "A closed account stays closed; use another one.",
    "account_frozen": "Lift what `freezes` names (POST /v1/accounts/{user}/unfreeze), then ask again under a new key.",
    "account_owes": "The next credits repay what is owed: let the user top up, then ask again under a new key.",
    "already_earned": "Nothing is left to do: this action, or others of its group, have earned as often as they may; "
    "`next_at`, where it is there, is when they earn again.",
    "batch_partly_known": "GET /v1/commands/{key} tells what became of those in `known`; "
    "send the others as a batch of their own.",
    "budget_exceeded": "Nothing was taken. Wait until `resets_at`, ask for less, or raise the limit "
    "(PUT /v1/accounts/{user}/budgets); then ask again under a new key.",
    "capture_exceeds_tolerance": "Capture at most `capturable` and charge the rest apart, "
    "or raise policies.capture_tolerance_percent in the app's file.",
    "config_conflict": "Leave as it is what the detail names; `tallystick app plan` shows what a file would change.",
    "earning_cap_reached": "Nothing was given: actions earn again from `next_at` on, where it is there.",
    "feature_disabled": FeatureDisabled.next,
    "grant_spent": "Revoke it with the policy `debt` or `absorb`, or leave it as it is.",
    "hold_not_priced": "Capture or extend it by `amount`; a hold by price, model or quote takes a usage.",
    "hold_resolved": "`hold` says how it ended; what is still to be paid needs a new hold or a charge.",
    "idempotency_key_missing": "Send the command again with a key of its own.",
    "idempotency_key_reused": "Use a new key for a new request, and repeat a request exactly as it was.",
    "insufficient_credits": "Nothing was taken. Let the user top up (`top_up_url`, where the app has one), "
    "then ask again under a new key.",
    "invalid_request": InvalidRequest.next,
    "no_allowance": "Give the account a plan first (PUT /v1/accounts/{user}/plan), or pay for the one that it has.",
    "not_leader": NotLeader.next,
    "plan_not_found": "The app's plans are the `allowances` of GET /v1/config.",
    "quote_expired": "Ask for a new quote.",
    "refund_exceeds_charge": "Refund at most `refundable`.",
    "scope_missing": ScopeMissing.next,
    "too_many_budgets": "Set fewer, or raise policies.budgets_max in the app's file.",
    "too_many_freezes": "Lift freezes that are no longer needed first.",
    "too_many_holds": "Capture or release holds that are no longer needed, "
    "or raise hold_limits.open_max in the app's file.",
    "too_many_lots": "Let the account spend first, or ask for less at once; "
    "policies.lots_max in the app's file says how many lots gifts and transfers may make.",
    "too_many_members": "Wait until the budget's period ends, or raise policies.budget_members_max in the app's file.",
    "transfer_settled": "Nothing is left to do: the step has been taken.",
    "unique_ref_taken": "`first` is what the reference stands for; use another reference for another thing.",
    "unknown_action": "The app's actions are the `earning_rules` of GET /v1/config.",
    "unknown_asset": "The app's assets are listed by GET /v1/config.",
    "unknown_price": "What has a price is listed by GET /v1/prices; "
    "the app's file gives prices to what has none (`prices`).",
    "unknown_command": "The commands are listed in docs/contracts/ledger.",
    "version_mismatch": "Somebody else has changed it: read it again, and apply your change to that version.",
}
"""By code. A `<thing>_not_found` says what every such problem does."""


def problem_of(rejected: Rejected) -> Problem:
    """A refusal as a Problem."""
    extra = dict(rejected.extra)
    errors = extra.pop("errors", None)
    return Problem(
        rejected.detail,
        status=rejected.status,
        code=rejected.code,
        title=rejected.code.replace("_", " ").capitalize(),
        next=NEXT.get(rejected.code, NotFound.next),
        errors=errors if isinstance(errors, list) else None,
        extra=extra,
    )
