"""What is asked of one account: its settings, its state now and in the past, its lots and holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Moment, Name
from libs.events.partition import partition_of
from libs.service.bodies import parse_query
from libs.service.clock import from_datetime
from libs.service.problems import NotFound, invalid
from services.ledger import past
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import asset_of, core_of, json_response, own_account
from services.ledger.api.views import account_view, state_view, thresholds_view
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.domain.decide.budgets import describe as budgets_view
from services.ledger.domain.state import Account
from services.ledger.present import current, reach

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
GONE = ("404 account_not_found", "404 unknown_asset", "404 app_not_found", "403 wrong_user")
Position = Annotated[int, Field(ge=0, le=2**62)]


class AssetQuery(BaseModel):
    """The query of a read of one account."""

    model_config = ConfigDict(extra="forbid")

    asset: Name | None = Field(None, description="The asset; the app's default one without it.")


Q = TypeVar("Q", bound=AssetQuery)


class MomentQuery(AssetQuery):
    """The query of a read of an account as of a moment."""

    service: Name | None = Field(None, description="Count the credits that may be spent on this service only, too.")
    position: Position | None = Field(None, description="As of this position of the account's partition.")
    at: Moment | None = Field(None, description="As of this time.")


class StateQuery(MomentQuery):
    """The query of `state`."""

    min_position: Position | None = Field(None, description="Not before the log has come so far: read your writes.")


@dataclass(frozen=True, slots=True)
class Asked(Generic[Q]):
    """A query about an account, `key` of which is (app, user, asset)."""

    query: Q
    core: Core
    config: AppConfig
    key: tuple[str, str, str]
    partition: int


@dataclass(frozen=True, slots=True)
class Found(Generic[Q]):
    """The account that was asked about as it is `now`, in microseconds, at `position` of its partition."""

    asked: Asked[Q]
    account: Account
    position: int
    now: int


async def _asked(request: Request, model: type[Q]) -> Asked[Q]:
    principal, user = own_account(request)
    query = parse_query(model, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    key = (principal.app, user, asset_of(config, query.asset))
    return Asked(query, core, config, key, partition_of(principal.app, user, core.partitions))


async def read_account(request: Request, model: type[Q]) -> Found[Q]:
    """404 `account_not_found` for an account that is not there."""
    asked = await _asked(request, model)
    seen, now = await current(asked.core, asked.config, asked.key, asked.partition)
    if seen.account is None:
        raise NotFound("account")
    return Found(asked, seen.account, seen.position, now)


@router.get(
    "/{user}",
    summary="An account and its settings",
    **described(answer=answers.AccountRecord, query=AssetQuery, codes=GONE, path="/{user}"),
)
async def get_account(request: Request) -> Response:
    """404 for a user that was never heard of."""
    found = await read_account(request, AssetQuery)
    return json_response(account_view(found.account, found.position))


@router.get(
    "/{user}/state",
    summary="The authoritative state, now or in the past",
    **described(answer=answers.State, query=StateQuery, codes=GONE, path="/{user}"),
)
async def get_state(request: Request) -> Response:
    """What is due has happened in it, whether or not a sweep ran."""
    asked = await _asked(request, StateQuery)
    query, core, key = asked.query, asked.core, asked.key
    if query.min_position is not None:
        await reach(core, asked.partition, query.min_position)
    if query.position is not None or query.at is not None:
        at = None if query.at is None else from_datetime(query.at)
        if at is not None and at > core.clocks.now_us(key[0]):
            raise invalid("time_in_future", "at", "The state of a time to come is not known.")
        found = await past.state(core, key, asked.partition, query.position, at)
    else:
        seen, now = await current(core, asked.config, key, asked.partition)
        found = None if seen.account is None else past.Moment(seen.account, seen.position, now)
    if found is None:
        raise NotFound("account")
    zone = asked.config.at(found.time_us).zone
    return json_response(state_view(found.account, found.position, found.time_us, query.service, zone))


@router.get(
    "/{user}/thresholds",
    summary="The account's own thresholds, and the app's",
    **described(answer=answers.Thresholds, query=AssetQuery, codes=GONE, path="/{user}"),
)
async def get_thresholds(request: Request) -> Response:
    """Levels of `available` whose crossing is told."""
    found = await read_account(request, AssetQuery)
    profile = found.account.profile
    return json_response(
        {
            "user": profile.user,
            "asset": profile.asset,
            "thresholds": thresholds_view(profile.thresholds, profile.scale),
            "app": thresholds_view(found.asked.config.thresholds.get(profile.asset, ()), profile.scale),
        }
    )


@router.get(
    "/{user}/budgets",
    summary="How much may be spent in a period, and how much of it is used",
    **described(answer=answers.Budgets, query=AssetQuery, codes=GONE, path="/{user}"),
)
async def get_budgets(request: Request) -> Response:
    """As of now: what open holds reserve is used, what they gave back is not."""
    found = await read_account(request, AssetQuery)
    profile = found.account.profile
    shown = budgets_view(found.account, found.asked.config.zone, found.now)
    return json_response({"user": profile.user, "asset": profile.asset, "budgets": shown})
