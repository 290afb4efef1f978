"""Campaigns: made, and changed under their lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import orjson

from libs.events.db import Connection
from libs.service.clock import format_time
from libs.service.once import Result, Wish, once
from libs.service.problems import NotFound, Problem, invalid
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.store import campaigns
from services.codes.store.campaigns import Campaign


class CampaignExists(Problem):
    """The name is taken."""

    status = 409
    code = "campaign_exists"
    title = "There is a campaign of this name"
    next = "Choose another name, or change the campaign that there is."


class CampaignVoid(Problem):
    """Void is for good."""

    status = 409
    code = "campaign_void"
    title = "The campaign is void, and stays so"
    next = "Make another campaign."


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a campaign may give: credits, and discounts in minor units of `currency`; None: any amount."""

    credits: Decimal | None
    minor: int | None
    currency: str | None


async def create(core: Core, wish: Wish, name: str, budgets: Budgets) -> Result:
    """Make a campaign; 201 with it."""
    campaign = Campaign(
        id=core.new_id("campaign", wish.app),
        app=wish.app,
        name=name,
        budget=budgets.credits,
        budget_minor=budgets.minor,
        currency=budgets.currency,
        created_at=await core.now_us(wish.app),
        created_by=wish.caller,
    )

    async def effect(connection: Connection) -> Result:
        if not await campaigns.insert(connection, campaign):
            raise CampaignExists
        return Result(201, orjson.dumps(view(campaign)))

    return await once(core.pool, wish, effect)


async def change(core: Core, wish: Wish, campaign_id: str, changes: dict[str, Any]) -> Result:
    """Change these fields of a campaign (`budget`, `budget_minor`, `currency`, `status`); 200 with it.

    A budget may be set below what was given: then nothing more is. Once discounts were given, their currency stays.
    """

    async def effect(connection: Connection) -> Result:
        campaign = await campaigns.find(connection, wish.app, campaign_id, lock=True)
        if campaign is None:
            raise NotFound("campaign")
        after = replace(campaign, **changes)
        if campaign.status == "void" and after != campaign:
            raise CampaignVoid
        if after.budget_minor is not None and after.currency is None:
            raise invalid("currency_missing", "currency", "A budget in minor units needs their currency.")
        if after.currency != campaign.currency and campaign.reserved_minor + campaign.spent_minor:
            raise invalid("currency_in_use", "currency", "Discounts were given in this currency: it stays.")
        if after != campaign:
            after = replace(after, version=campaign.version + 1)
            await campaigns.update(connection, after)
        return Result(200, orjson.dumps(view(after)))

    return await once(core.pool, wish, effect)


def view(campaign: Campaign) -> dict[str, Any]:
    """A campaign as staff see it; what is `left` is None where there is no limit."""
    given, given_minor = campaign.reserved + campaign.spent, campaign.reserved_minor + campaign.spent_minor
    return {
        "id": campaign.id,
        "name": campaign.name,
        "status": campaign.status,
        "budget": _amount(campaign.budget),
        "reserved": _amount(campaign.reserved),
        "spent": _amount(campaign.spent),
        "left": None if campaign.budget is None else _amount(max(Decimal(0), campaign.budget - given)),
        "budget_minor": campaign.budget_minor,
        "reserved_minor": campaign.reserved_minor,
        "spent_minor": campaign.spent_minor,
        "left_minor": None if campaign.budget_minor is None else max(0, campaign.budget_minor - given_minor),
        "currency": campaign.currency,
        "version": campaign.version,
        "created_at": format_time(campaign.created_at),
        "created_by": campaign.created_by,
    }


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else format_amount(amount)
