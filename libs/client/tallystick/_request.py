"""A request as data, before anything is sent: what the routes build, and what both clients know how to send."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypedDict, TypeVar

from ._decode import decode
from .models import Page
from .values import Amount, Usage, optional_amount, optional_usage, present

T = TypeVar("T")


class Labels(TypedDict, total=False):
    """What every write may carry.

    `asset` (the app's default when left out), `reference` a searchable label, `unique_ref` unique for ever per user
    and command type, `description` and `metadata` free text that can be erased, `member` who of a team did it,
    `idempotency_key` the caller's own key (a fresh one is made otherwise).
    """

    asset: str | None
    reference: str | None
    unique_ref: str | None
    description: str | None
    metadata: Mapping[str, Any] | None
    member: str | None
    idempotency_key: str | None


class Common(Labels, total=False):
    """Labels, and `reason`, a short code of why."""

    reason: str | None


class Spend(Common, total=False):
    """Common fields, and ways other than an amount to say what something costs: exactly one of them is given.

    `price` is an operation of the app's price book, done `quantity` times (1 when left out); `model` one of its
    models with the `usage` of a call; `quote` the id of a quote.
    """

    price: str | None
    quantity: Amount | None
    model: str | None
    usage: Usage | None
    quote: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer: its parsed JSON body and what its headers say."""

    body: Any
    replayed: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One call. `key` is the idempotency key of a write, None for reads; it stays the same for every attempt."""

    method: str
    path: str
    parse: Callable[[Reply], T]
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None

    def at(self, cursor: str) -> "Request[T]":
        """The same list from this cursor on."""
        return replace(self, params={**self.params, "cursor": cursor})


def read(path: str, parse: Callable[[Reply], T], **params: str | int | None) -> Request[T]:
    """A GET; parameters that are None are left out."""
    return Request("GET", path, parse, params={name: str(value) for name, value in present(params).items()})


def write(
    path: str,
    kind: type[T],
    fields: Mapping[str, Any],
    common: Mapping[str, Any],
    method: str = "POST",
) -> Request[T]:
    """A write whose answer is a `kind`, which learns whether it was replayed and under which key it was sent."""
    body = present({**fields, **common})
    key = body.pop("idempotency_key", None) or new_key()
    return Request(
        method,
        path,
        lambda reply: decode(kind, reply.body, replayed=reply.replayed, idempotency_key=key),
        json=body,
        key=key,
    )


def cost_fields(amount: Amount | None, common: Spend) -> dict[str, Any]:
    """The fields that say what something costs. Raises TypeError unless it is said in exactly one way."""
    ways = {"amount": amount, **{way: common.get(way) for way in ("price", "model", "quote")}}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) != 1:
        raise TypeError(f"the cost is one of amount, price, model and quote, not {' and '.join(given) or 'none'}")
    quantity, usage = common.get("quantity"), common.get("usage")
    if (quantity is not None and given != ["price"]) or (usage is not None) != (given == ["model"]):
        raise TypeError("a quantity goes with a price, and a usage with a model")
    return {
        **common,
        "amount": optional_amount(amount),
        "quantity": optional_amount(quantity),
        "usage": optional_usage(usage),
    }


def new_key() -> str:
    """A fresh idempotency key."""
    return uuid.uuid4().hex


def one(kind: type[T]) -> Callable[[Reply], T]:
    """Reads an answer that is one object."""
    return lambda reply: decode(kind, reply.body)


def page_of(kind: type[T]) -> Callable[[Reply], Page[T]]:
    """Reads an answer that is a list."""

    def parse(reply: Reply) -> Page[T]:
        body = decode(_PageBody, reply.body)
        return Page(tuple(decode(kind, item) for item in body.data), body.next_cursor, body.has_more)

    return parse


@dataclass(frozen=True, slots=True, kw_only=True)
class _PageBody:
    data: list[Any]
    next_cursor: str | None = None
    has_more: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)
