"""What can go wrong, by the ledger's stable codes.

Every answer that is not a success is a problem document (RFC 9457); its `code` picks the class. A code this release
does not know falls back to the class of its HTTP status, so that a newer ledger never breaks an older client.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any


class TallystickError(Exception):
    """The base of all errors of this library.

    `status` is the HTTP status (None when no answer came), `code` the stable code, `errors` the field errors of a
    refused body, `problem` the whole document, `request_id` what to name to an operator, `idempotency_key` the key
    that the write was sent with: `client.get_command(key, user)` tells what became of it. `replayed` says that the
    write was refused before, under the same key, and this is that first refusal.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        problem: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        retry_after_s: float | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problem: Mapping[str, Any] = problem or {}
        self.errors: list[Mapping[str, Any]] = list(self.problem.get("errors") or [])
        self.request_id: str | None = self.problem.get("request_id")
        self.idempotency_key = idempotency_key
        self.retry_after_s = retry_after_s
        self.replayed = replayed

    def _credits(self, name: str) -> Decimal | None:
        try:
            return Decimal(str(self.problem[name]))
        except (KeyError, InvalidOperation):
            return None


class InvalidRequest(TallystickError):
    """400, 413 or 422: the request can never succeed as it is; `errors` names the fields."""


class IdempotencyKeyReused(InvalidRequest):
    """422: the key was already used with another body."""


class Unauthorized(TallystickError):
    """401: the token is missing, not valid, or has expired and could not be renewed."""


class Forbidden(TallystickError):
    """403: the token's role, scope or app does not allow it."""


class FeatureDisabled(Forbidden):
    """403: the app has this feature switched off."""


class NotFound(TallystickError):
    """404: no such thing; `code` names it (`account_not_found`, `unknown_asset` …)."""


class InsufficientCredits(TallystickError):
    """402: too few credits; nothing was changed."""

    @property
    def required(self) -> Decimal | None:
        """Credits that the command needed."""
        return self._credits("required")

    @property
    def available(self) -> Decimal | None:
        """Credits that it could have had."""
        return self._credits("available")

    @property
    def owed(self) -> Decimal | None:
        """Credits that the account owes, to be repaid first."""
        return self._credits("owed")

    @property
    def top_up_url(self) -> str | None:
        """Where the user can buy more, if the app has such a page."""
        url = self.problem.get("top_up_url")
        return str(url) if url else None


class AccountOwes(InsufficientCredits):
    """402: the credits would suffice but for what the account owes from a claw-back or an over-capture."""


class Conflict(TallystickError):
    """409 or 412: the state of things does not allow it; `code` says why."""


class HoldResolved(Conflict):
    """The hold was already captured, released or has expired."""

    @property
    def hold(self) -> Mapping[str, Any]:
        """How it ended: `id`, `status`, `captured`, `resolved_at`, as the ledger recorded it."""
        hold: Mapping[str, Any] = self.problem.get("hold") or {}
        return hold


class AccountFrozen(Conflict):
    """The account is frozen: no charges, new holds or transfers out."""


class AccountClosed(Conflict):
    """The account is closed."""


class RefundExceedsCharge(Conflict):
    """More would be refunded than was charged."""


class CaptureExceedsTolerance(Conflict):
    """The capture is further above the hold than the app allows; the hold stays."""


class UniqueRefTaken(Conflict):
    """The `unique_ref` already stands for another command."""


class AlreadyEarned(Conflict):
    """The action has earned all it can for this user."""


class GrantSpent(Conflict):
    """A revoke with the policy `block` met a grant of which something was spent."""


class BudgetExceeded(Conflict):
    """A hard budget of the account, of a member or of a key is used up; `budget` names it."""

    @property
    def budget(self) -> str | None:
        """The budget that refused."""
        name = self.problem.get("budget")
        return None if name is None else str(name)


class RateLimited(TallystickError):
    """429: too much at once; `retry_after_s` is what the ledger asked for. Nothing was changed."""


class ServerError(TallystickError):
    """5xx: the ledger failed. A write may or may not have happened: repeat it with the same key, or ask by the key."""


class Unavailable(ServerError):
    """502, 503 or 504, still so after all retries."""


class ConnectionFailed(TallystickError):
    """No answer came: refused, reset or timed out, still so after all retries.

    A write may have happened: see `idempotency_key`.
    """


class UnexpectedAnswer(TallystickError):
    """An answer that is no ledger's: not JSON, or without a field that must be there."""


class WaitTimedOut(TallystickError, TimeoutError):
    """The deadline of a wait passed; what was waited for goes on by itself."""


_BY_CODE: dict[str, type[TallystickError]] = {
    "insufficient_credits": InsufficientCredits,
    "account_owes": AccountOwes,
    "feature_disabled": FeatureDisabled,
    "idempotency_key_reused": IdempotencyKeyReused,
    "hold_resolved": HoldResolved,
    "account_frozen": AccountFrozen,
    "account_closed": AccountClosed,
    "refund_exceeds_charge": RefundExceedsCharge,
    "capture_exceeds_tolerance": CaptureExceedsTolerance,
    "unique_ref_taken": UniqueRefTaken,
    "already_earned": AlreadyEarned,
    "grant_spent": GrantSpent,
    "budget_exceeded": BudgetExceeded,
}
_BY_STATUS: dict[int, type[TallystickError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    402: InsufficientCredits,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(
    status: int,
    problem: Mapping[str, Any],
    *,
    idempotency_key: str | None,
    retry_after_s: float | None,
    replayed: bool = False,
) -> TallystickError:
    """The error that stands for this answer."""
    code = str(problem.get("code") or "")
    fallback = ServerError if status >= 500 else UnexpectedAnswer if status < 400 else TallystickError
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, fallback)
    said = problem.get("detail") or problem.get("title") or "no explanation was given"
    return kind(
        f"{status} {code}: {said}" if code else f"{status}: {said}",
        status=status,
        code=code,
        problem=problem,
        idempotency_key=idempotency_key,
        retry_after_s=retry_after_s,
        replayed=replayed,
    )
