"""The price book as callers see it: what everything costs now, and when that changes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Name, User
from libs.events.partition import partition_of
from libs.service.auth import Principal
from libs.service.bodies import parse_query
from libs.service.problems import NotFound, ScopeMissing
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import CONFIG, READ, core_of, json_response, permitted
from services.ledger.api.views import optional_time
from services.ledger.core import Core
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import format_time
from services.ledger.domain.config import AppConfig
from services.ledger.domain.pricing.book import ALWAYS, Entry, PriceList
from services.ledger.domain.pricing.card import RateCard
from services.ledger.domain.pricing.cost import ONE, cost
from services.ledger.present import current

router = APIRouter(prefix="/v1", tags=["prices"])


class PricesQuery(BaseModel):
    """The query of `prices`."""

    model_config = ConfigDict(extra="forbid")

    list: Name | None = Field(None, description="Prices of this list where it has them, and the ordinary ones.")
    user: User | None = Field(None, description="Prices as this user pays them. A user sees nobody else's.")


@router.get(
    "/prices",
    summary="What operations and models cost",
    **described(
        answer=answers.Prices,
        query=PricesQuery,
        codes=("404 app_not_found", "404 price_list_not_found", "403 wrong_user"),
    ),
)
async def get_prices(request: Request) -> Response:
    """In force now; `next_change` says until when. A user sees the prices that it pays itself."""
    principal = permitted(request, READ)
    query = parse_query(PricesQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    name = await _list_of(principal, query, core, config)
    customers = config.book.lists.get(name or "")
    if name is not None and customers is None and query.list is not None:
        raise NotFound("price_list")
    return json_response(prices_view(config, None if customers is None else name, core.clocks.now_us(config.app)))


async def _list_of(principal: Principal, query: PricesQuery, core: Core, config: AppConfig) -> str | None:
    """The list that is asked for: by its name, or by whose it is."""
    user = query.user
    if principal.role == "user":
        if query.list is not None:
            raise ScopeMissing(CONFIG)
        user = principal.sub if user is None else user
        principal.require_user(user)
    if user is None:
        return query.list
    key = (config.app, user, config.default_asset)
    seen, _ = await current(core, config, key, partition_of(config.app, user, core.partitions))
    return query.list or (None if seen.account is None else seen.account.profile.price_list)


def prices_view(config: AppConfig, name: str | None, now: int) -> dict[str, Any]:
    """The book at a time, with the prices of a list in place of the ordinary ones."""
    book = config.book
    customers = book.lists[name] if name is not None else PriceList()
    operations = {**book.ordinary.operations, **customers.operations}
    models = {**book.ordinary.models, **customers.models}
    changes = [entry.next_change(now) for entry in (*operations.values(), *models.values())]
    return {
        "app": config.app,
        "version": book.version,
        "config_version": config.version,
        "list": name,
        "time": format_time(now),
        "next_change": optional_time(min((change for change in changes if change is not None), default=None)),
        "quote_ttl_s": book.quote_ttl_us // 1_000_000,
        "operations": _entries(operations, config, now),
        "models": _entries(models, config, now),
    }


def _entries(entries: dict[str, Entry], config: AppConfig, now: int) -> dict[str, Any]:
    """Those that have a price now."""
    found = {name: (entry, entry.at(now)) for name, entry in sorted(entries.items())}
    return {
        name: _entry_view(entry, card, config.scales[entry.asset], now)
        for name, (entry, card) in found.items()
        if card is not None
    }


def _entry_view(entry: Entry, card: RateCard, scale: int, now: int) -> dict[str, Any]:
    since = max(starts_at for starts_at, _ in entry.cards if starts_at <= now)
    one = {} if card.model else {"cost": format_units(cost(card, {"quantity": ONE}, scale).amount, scale)}
    return {
        "asset": entry.asset,
        **one,
        "per": card.per,
        "rates": [{"unit": rate.unit, "price": rate.price, "over": rate.over} for rate in card.rates],
        "markup_percent": card.markup_percent,
        "minimum": format_units(card.minimum, scale),
        "list": card.price_list,
        "since": None if since == ALWAYS else format_time(since),
        "next_change": optional_time(entry.next_change(now)),
    }
