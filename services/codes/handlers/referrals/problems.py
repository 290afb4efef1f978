"""Named refusals of referrals."""

from __future__ import annotations

from libs.service.problems import Problem
from services.codes.domain.referrals.binding import BindRefusal


class OwnTextDisabled(Problem):
    """The app does not let users choose."""

    status = 403
    code = "own_text_disabled"
    title = "The app makes the codes; their text cannot be chosen"
    next = "Leave `code` out, or set `referrals.own_text` in the app's file."


class CodeTaken(Problem):
    """The app has a code of this text."""

    status = 409
    code = "code_taken"
    title = "This text is taken"
    next = "Choose another text."


class TooManyCodes(Problem):
    """The user has chosen often enough."""

    status = 409
    code = "too_many_codes"
    title = "The user has chosen too many codes"
    next = "Use one of the codes that the user has."


class ReferralNotFound(Problem):
    """The app has no such referral."""

    status = 404
    code = "referral_not_found"
    title = "There is no such referral"
    next = "Look for it with GET /v1/referrals."


class ReferralResolved(Problem):
    """It was decided on before, otherwise."""

    status = 409
    code = "referral_resolved"
    title = "The referral was decided on before"
    next = "Read it with GET /v1/referrals; credits that were granted are taken back in the ledger."


class ReferralNotFlagged(Problem):
    """Nobody waits for an approval."""

    status = 409
    code = "referral_not_flagged"
    title = "The referral needs no approval"
    next = "It earns by itself."


class AlreadyBound(Problem):
    """The user came by somebody before."""

    status = 409
    code = "already_bound"
    title = "The user is bound to a referrer"
    next = "A user is bound once; nothing changes it."


class AlreadyPaid(Problem):
    """The user is a customer already."""

    status = 409
    code = "already_paid"
    title = "The user has paid before"
    next = "A code of a referrer is entered before the first payment."


class SelfReferral(Problem):
    """The user and who would earn are one person."""

    status = 409
    code = "self_referral"
    title = "Nobody refers themselves"
    next = "Use somebody else's code."


class ReferralCycle(Problem):
    """The referrer came, by whatever way, by the user."""

    status = 409
    code = "referral_cycle"
    title = "The referrer came by this user"
    next = "Use the code of somebody whom the user did not bring."


REFUSALS: dict[BindRefusal, type[Problem]] = {
    "already_bound": AlreadyBound,
    "already_paid": AlreadyPaid,
    "self_referral": SelfReferral,
    "referral_cycle": ReferralCycle,
}
