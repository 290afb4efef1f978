"""A small ledger on the other end of the wire: the contract's answers for the routes, in memory, over httpx transports.

One pool of credits per user, no lots. Idempotency, refusals, hold limits and pages behave as the contract says, and
faults can be put in the way of a request.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import httpx

Fault = Callable[[httpx.Request, Callable[[], httpx.Response]], httpx.Response]
JSON = dict[str, Any]
T = TypeVar("T")


class Refused(Exception):
    """A refusal: status, code and further members of the problem document."""

    def __init__(self, status: int, code: str, **extra: Any) -> None:
        self.status, self.code, self.extra = status, code, extra


def answer_lost(request: httpx.Request, go: Callable[[], httpx.Response]) -> NoReturn:
    """The ledger did it, and the answer never arrived."""
    go()
    raise httpx.ReadTimeout("the answer was lost", request=request)


def not_reached(request: httpx.Request, go: Callable[[], httpx.Response]) -> NoReturn:
    """The request never arrived."""
    raise httpx.ConnectError("connection refused", request=request)


def answers(status: int, code: str = "", headers: dict[str, str] | None = None, **extra: Any) -> Fault:
    """Something in the way answers instead."""
    body = {"status": status, "code": code, "detail": "no", **extra}
    return lambda request, go: httpx.Response(status, json=body, headers=headers or {})


@dataclass
class HeldCredits:
    """A hold as the peer keeps it; times are seconds since the epoch."""

    id: str
    user: str
    amount: Decimal
    created_at: float
    expires_at: float
    captured: Decimal = Decimal(0)
    status: str = "open"


@dataclass
class Ledger:
    """The peer. `seen` is every request that arrived, `waiting` how many came to a gate."""

    hold_ttl_s: float = 60.0
    hold_ttl_max_s: float = 3600.0
    token: str | None = None
    pending_polls: int = 0
    seen: list[httpx.Request] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    settled: dict[str, Decimal] = field(default_factory=dict)
    holds: dict[str, HeldCredits] = field(default_factory=dict)
    charges: dict[str, JSON] = field(default_factory=dict)
    journal: list[JSON] = field(default_factory=list)
    transfers: dict[str, int] = field(default_factory=dict)
    answered: dict[str, tuple[bytes, int, JSON]] = field(default_factory=dict)
    config: JSON = field(default_factory=lambda: {"assets": {}})
    version: int = 1
    gate: asyncio.Event | None = None
    waiting: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        for end, faults in self.faults.items():
            if request.url.path.endswith(end) and faults:
                return faults.pop(0)(request, lambda: self._answer(request))
        return self._answer(request)

    async def served(self, request: httpx.Request) -> httpx.Response:
        """The same, but not before the gate is open."""
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        return self(request)

    def paths(self) -> list[str]:
        """What arrived, as `POST /v1/charges`."""
        return [f"{request.method} {request.url.path}" for request in self.seen]

    def open_holds(self) -> list[HeldCredits]:
        """Holds that still hold something."""
        self._expire()
        return [hold for hold in self.holds.values() if hold.status == "open"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            self._known(request)
            return self._once(request) if request.method != "GET" else self._render(200, self._route(request))
        except Refused as refused:
            return _problem(refused)

    def _known(self, request: httpx.Request) -> None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(401, "token_expired")

    def _once(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            raise Refused(400, "idempotency_key_missing")
        fingerprint = request.method.encode() + request.url.raw_path + request.content
        if key in self.answered:
            before, status, body = self.answered[key]
            if before != fingerprint:
                raise Refused(422, "idempotency_key_reused")
            return self._render(status, body, {"Idempotency-Replayed": "true"})
        try:
            status, body = 201, self._route(request)
            if body.get("status") == "pending":
                status = 202
        except Refused as refused:
            if refused.status not in (402, 404, 409):
                raise
            problem = _problem(refused)
            status, body = problem.status_code, json.loads(problem.content)
        self.answered[key] = (fingerprint, status, body)
        return self._render(status, body)

    def _render(self, status: int, body: JSON, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.Response(status, json=body, headers={"ETag": f'"{self.version}"', **(headers or {})})

    def _route(self, request: httpx.Request) -> JSON:  # noqa: PLR0911, PLR0912 -- a table of routes, one a case
        self._expire()
        body: JSON = json.loads(request.content) if request.content else {}
        query = dict(request.url.params)
        match [request.method, *request.url.path.removeprefix("/v1/").split("/")]:
            case ["POST", "grants"]:
                return self._move(body["user"], Decimal(body["amount"]), "grant", body)
            case ["POST", "charges"]:
                self._spendable(body["user"], Decimal(body["amount"]))
                charge = self._move(body["user"], -Decimal(body["amount"]), "charge", body)
                self.charges[charge["id"]] = charge
                return charge
            case ["POST", "charges", charge_id, "refund"]:
                charge = self._found(self.charges, charge_id, "charge")
                return self._move(
                    charge["user"], Decimal(body["amount"] if "amount" in body else charge["amount"]), "refund", body
                )
            case ["GET", "charges", charge_id]:
                return self._found(self.charges, charge_id, "charge")
            case ["POST", "holds"]:
                return self._hold(body)
            case ["GET", "holds", hold_id]:
                return self._shown(self._found(self.holds, hold_id, "hold"))
            case ["POST", "holds", hold_id, verb]:
                return self._resolve(self._found(self.holds, hold_id, "hold"), verb, body)
            case ["POST", "transfers"]:
                transfer = self._move(body["from_user"], -Decimal(body["amount"]), "transfer", body)
                self.transfers[transfer["id"]] = self.pending_polls
                return self._transfer(transfer["id"])
            case ["GET", "transfers", transfer_id]:
                return self._transfer(transfer_id)
            case ["GET", "accounts", user, "transactions"]:
                lines = [line for line in self.journal if line["user"] == user]
                start, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
                more = start + limit < len(lines)
                cursor = str(start + limit) if more else None
                return {"data": lines[start : start + limit], "next_cursor": cursor, "has_more": more}
            case ["GET", "accounts", user, "state"]:
                if user not in self.settled:
                    raise Refused(404, "account_not_found")
                return self._after(user)
            case ["GET", "config"]:
                return {"config": self.config, "version": self.version}
            case ["PUT", "config"]:
                if query.get("dry_run") == "true":
                    return {"changed": sorted(body)}
                if request.headers.get("If-Match", f'"{self.version}"') != f'"{self.version}"':
                    raise Refused(412, "precondition_failed")
                self.config, self.version = body, self.version + 1
                return {"config": self.config, "version": self.version}
            case _:
                raise Refused(404, "route_not_found")

    def _move(self, user: str, amount: Decimal, kind: str, body: JSON) -> JSON:
        before = self.settled.get(user, Decimal(0))
        self.settled[user] = before + amount
        made = {"id": f"{kind}_{len(self.journal)}", "type": kind, "user": user, "amount": f"{abs(amount):.2f}"}
        line = {"amount": f"{amount:.2f}", "before": f"{before:.2f}", "after": f"{before + amount:.2f}"}
        self.journal.append({**made, **line, "time": _time(time.time()), "reason": body.get("reason")})
        return {**made, **self._after(user)}

    def _held(self, user: str) -> Decimal:
        return sum((hold.amount - hold.captured for hold in self.open_holds() if hold.user == user), Decimal(0))

    def _spendable(self, user: str, amount: Decimal) -> None:
        available = self.settled.get(user, Decimal(0)) - self._held(user)
        if amount > available:
            raise Refused(402, "insufficient_credits", required=f"{amount:.2f}", available=f"{available:.2f}")

    def _hold(self, body: JSON) -> JSON:
        amount, now = Decimal(body["amount"]), time.time()
        self._spendable(body["user"], amount)
        ttl_s = body.get("ttl_s", self.hold_ttl_s)
        if ttl_s > self.hold_ttl_max_s:
            raise Refused(400, "invalid_request")
        hold = HeldCredits(f"hold_{len(self.holds)}", body["user"], amount, now, now + ttl_s)
        self.holds[hold.id] = hold
        return {**self._shown(hold), **self._after(hold.user)}

    def _resolve(self, hold: HeldCredits, verb: str, body: JSON) -> JSON:
        if hold.status != "open":
            raise Refused(409, "hold_resolved", hold=self._shown(hold))
        charge: JSON = {}
        if verb == "extend":
            hold.expires_at = min(time.time() + body["ttl_s"], hold.created_at + self.hold_ttl_max_s)
        elif verb == "capture":
            amount = Decimal(body["amount"]) if "amount" in body else hold.amount - hold.captured
            if amount > hold.amount - hold.captured:
                raise Refused(409, "capture_exceeds_tolerance")
            hold.captured += amount
            if body.get("final", True):
                hold.status = "captured"
            made = self._move(hold.user, -amount, "charge", body)
            self.charges[made["id"]] = made
            charge = {"charge": made["id"]}
        else:
            hold.status = "released"
        return {**self._shown(hold), **charge, **self._after(hold.user)}

    def _expire(self) -> None:
        for hold in self.holds.values():
            if hold.status == "open" and hold.expires_at <= time.time():
                hold.status = "expired"

    def _shown(self, hold: HeldCredits) -> JSON:
        times = {"expires_at": _time(hold.expires_at)}
        amounts = {"amount": f"{hold.amount:.2f}", "captured": f"{hold.captured:.2f}"}
        return {"id": hold.id, "user": hold.user, "status": hold.status, **amounts, **times}

    def _transfer(self, transfer_id: str) -> JSON:
        left = self._found(self.transfers, transfer_id, "transfer")
        self.transfers[transfer_id] = left - 1
        return {"id": transfer_id, "status": "pending" if left > 0 else "completed"}

    def _after(self, user: str) -> JSON:
        settled, held = self.settled.get(user, Decimal(0)), self._held(user)
        amounts = {"settled": settled, "held": held, "owed": Decimal(0), "available": settled - held}
        place = {"user": user, "position": len(self.journal) + len(self.holds), "partition": 3}
        return {**{name: f"{amount:.2f}" for name, amount in amounts.items()}, **place}

    def _found(self, things: dict[str, T], key: str, name: str) -> T:
        if key not in things:
            raise Refused(404, f"{name}_not_found")
        return things[key]


def _problem(refused: Refused) -> httpx.Response:
    body = {"type": "about:blank", "title": refused.code, "status": refused.status, "code": refused.code}
    return httpx.Response(
        refused.status,
        json={**body, "request_id": "req_1", **refused.extra},
        headers={"Content-Type": "application/problem+json"},
    )


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
