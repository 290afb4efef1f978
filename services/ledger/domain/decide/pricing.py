"""What commands cost: by the price book, by a quote, by what a hold has pinned. And quotes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.codec import format_time, plain
from services.ledger.domain.decide import budgets
from services.ledger.domain.decide.recorder import Decision, Recorder, split
from services.ledger.domain.pricing.card import RateCard
from services.ledger.domain.pricing.cost import cost, counts
from services.ledger.domain.records import QuoteRecord
from services.ledger.domain.rejections import conflict, not_found
from services.ledger.domain.state import Hold


@dataclass(slots=True)
class Bill:
    """An amount in units, and what it was worked out from, unless it was given as such."""

    amount: int
    priced: ev.Priced | None = None


def bill(recorder: Recorder, amount: int | None, ask: cmd.Ask | None, *, pinned: bool = False) -> Bill:
    """What a command takes: the amount it names, or what it asks for costs. `pinned`: with the rates, for later."""
    if ask is None:
        return Bill(amount or 0)
    card, usage = _asked(recorder, ask)
    return _of_card(recorder, card, usage, pinned=pinned)


def bill_of_hold(recorder: Recorder, hold: Hold, usage: Mapping[str, int]) -> Bill:
    """What `usage` costs at the prices of a hold; 409 `hold_not_priced` if it was made by an amount."""
    card = hold.terms.card
    if card is None:
        raise conflict("hold_not_priced", "The hold was made by an amount, not by a price: name the amount.")
    return _of_card(recorder, card, usage)


def priced_view(recorder: Recorder, priced: ev.Priced | None) -> dict[str, Any]:
    """`priced` of an answer, as the event has it but for what it pins; {} for what was no price."""
    if priced is None:
        return {}
    return {"priced": plain(replace(priced, per=1, rates=()), recorder.account.profile.scale)}


def _of_card(recorder: Recorder, card: RateCard, usage: Mapping[str, int], *, pinned: bool = False) -> Bill:
    found = cost(card, usage, recorder.account.profile.scale)
    priced = ev.Priced(
        version=card.version,
        usage=counts(usage),
        lines=found.lines,
        price=card.price,
        model=card.model,
        markup_percent=card.markup_percent,
        minimum=ev.Units(card.minimum),
        price_list=card.price_list,
        quote=card.quote,
        per=card.per if pinned else 1,
        rates=card.rates if pinned else (),
    )
    return Bill(found.amount, priced)


def _asked(recorder: Recorder, ask: cmd.Ask) -> tuple[RateCard, Mapping[str, int]]:
    if ask.quote is not None:
        quoted = _quoted(recorder, ask.quote)
        return quoted.card, quoted.usage
    profile = recorder.account.profile
    book = recorder.context.config.book
    if ask.price is not None:
        return book.card("price", ask.price, profile.asset, profile.price_list, recorder.now), ask.usage
    return book.card("model", ask.model or "", profile.asset, profile.price_list, recorder.now), ask.usage


def _quoted(recorder: Recorder, quote: str) -> QuoteRecord:
    """The quote of this id; 404 `quote_not_found` if it is another's, 409 `quote_expired` after its time."""
    profile = recorder.account.profile
    found = recorder.context.loaded.quote
    if found is None or found.app != profile.app or found.asset != profile.asset:
        raise not_found("quote")
    if found.user not in ("", profile.user):
        raise not_found("quote")
    if recorder.now >= found.valid_until:
        valid_until = format_time(found.valid_until)
        raise conflict("quote_expired", f"The quote was valid until {valid_until}.", {"valid_until": valid_until})
    return found


def quote(recorder: Recorder, command: cmd.Quote) -> Decision:
    """What something costs now, promised until the app's `quote_ttl_s` is over; nothing of it is recorded.

    For a user: whether it could be charged now or which budget forbids it, and which lots it would come from.
    """
    profile = recorder.account.profile
    quote_id = recorder.context.ids.new("quote")
    card, usage = _asked(recorder, command.ask)
    found = _of_card(recorder, replace(card, quote=quote_id), usage)
    valid_until = recorder.now + recorder.context.config.book.quote_ttl_us
    record = QuoteRecord(
        quote_id,
        profile.app,
        profile.user,
        profile.asset,
        replace(card, quote=quote_id),
        usage,
        recorder.now,
        valid_until,
    )
    priced = priced_view(recorder, found.priced)["priced"]
    body = {
        "id": quote_id,
        "user": profile.user or None,
        "asset": profile.asset,
        "amount": recorder.amount(found.amount),
        "price_version": card.version,
        "valid_until": format_time(valid_until),
        **_from_account(recorder, command, found.amount),
        "lines": priced["lines"],
        "priced": priced,
    }
    return Decision(201, body, record)


def _from_account(recorder: Recorder, command: cmd.Quote, amount: int) -> dict[str, Any]:
    """What a quote says of its user's account; of nobody's, nothing."""
    before = recorder.account
    if not before.profile.user:
        nothing = dict.fromkeys(("affordable", "budget", "available", "settled", "held", "owed"))
        return {**nothing, "slices": []}
    if not before.version:
        # A charge would open it, and it would begin with what the app gives everybody.
        recorder = Recorder(before, recorder.context)
        recorder.open()
    account = recorder.account
    available = account.available(command.service)
    budget = budgets.refusing(recorder, command.labels, amount)
    spendable = account.profile.closed_at is None and not account.profile.frozen
    return {
        "affordable": spendable and amount <= available and budget is None,
        "budget": budget,
        "available": recorder.amount(available),
        "slices": [
            {
                # What only a charge would make has no name yet.
                "lot": s.lot if s.lot in before.lots else None,
                "amount": recorder.amount(s.amount),
                "source": account.lots[s.lot].terms.source,
                "expires_at": _time(account.lots[s.lot].terms.expires_at),
            }
            for s in split(account.burn_order(command.service), amount)
        ],
    }


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time(time_us)
