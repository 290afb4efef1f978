"""Lists: the accounts of an app, the lots and holds of an account; as pages, or whole as a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Moment, Name
from libs.service.bodies import parse_query
from libs.service.clock import from_datetime
from libs.service.exports import FILE_FORMAT, MEDIA_TYPES, FileFormat, all_pages, export_response, file_asked, rendered
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import invalid
from services.ledger.api import answers
from services.ledger.api.accounts import GONE, AssetQuery, read_account
from services.ledger.api.contract import described
from services.ledger.api.support import READ, asset_of, core_of, json_response, staff
from services.ledger.api.views import account_view, hold_view, lot_view
from services.ledger.core import Core
from services.ledger.domain.amounts import AmountError, parse_signed
from services.ledger.domain.config import AppConfig
from services.ledger.domain.state import Lot
from services.ledger.present import at_time
from services.ledger.store import listing
from services.ledger.store.listing import AccountsWanted, HoldsWanted, LotsWanted, Status
from services.ledger.store.reads import HoldRow, LotRow, Seen

RowT = TypeVar("RowT")
router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_AMOUNT = r"^-?[0-9]{1,16}(\.[0-9]{1,9})?$"
_ACCOUNT_COLUMNS = ("user", "asset", *(n for n in answers.AccountRecord.model_fields if n not in ("user", "asset")))
_LOT_COLUMNS = (
    "id",
    "status",
    "amount",
    "remaining",
    "held",
    "spent",
    "revoked",
    "breakage",
    "source",
    "priority",
    "scope",
    "granted_at",
    "effective_at",
    "expires_at",
    "cost_basis",
    "origin",
)
_HOLD_COLUMNS = (
    "id",
    "user",
    "asset",
    "status",
    "amount",
    "captured",
    "remaining",
    "service",
    "grant",
    "reference",
    "member",
    "created_at",
    "expires_at",
    "limit_at",
    "resolved_at",
)


class _List(AssetQuery):
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    format: FileFormat = FILE_FORMAT


@dataclass(frozen=True, slots=True)
class _Listing(Generic[RowT]):
    """A list: what its file is called and has in each line, and how its rows are read behind a place and shown.

    `by` is what a cursor calls that place.
    """

    name: str
    columns: tuple[str, ...]
    by: str
    fetch: Callable[[str, int], Awaitable[list[RowT]]]
    place: Callable[[RowT], str]
    shown: Callable[[RowT], dict[str, Any]]

    async def answer(self, request: Request, query: _List) -> Response:
        """A page of it, or all of it as a file, whichever was asked for."""
        kind = file_asked(query.format, request.headers.get("accept", ""))
        if kind is not None:
            every = rendered(all_pages(self.fetch, "", self.place), self.shown)
            return export_response(kind, self.columns, every, self.name)
        after = decode_cursor(query.cursor, {self.by: str}) or {self.by: ""}
        rows = await self.fetch(after[self.by], query.limit + 1)
        return json_response(page(rows, query.limit, lambda row: {self.by: self.place(row)}, self.shown))


class AccountsQuery(_List):
    """The query of the accounts of an app."""

    status: Status | None = Field(None, description="Of this status only.")
    plan: Name | None = Field(None, description="With this plan only.")
    settled_min: str | None = Field(None, pattern=_AMOUNT, description="With `settled` of no less, as last booked.")
    settled_max: str | None = Field(None, pattern=_AMOUNT, description="With `settled` of no more, as last booked.")
    owed_min: str | None = Field(None, pattern=_AMOUNT, description="With `owed` of no less.")


class _OfAccount(_List):
    since: Moment | None = Field(None, description="Made not before this time.")
    until: Moment | None = Field(None, description="Made before this time.")
    all: bool = Field(False, description="Those that have ended too.")


class LotsQuery(_OfAccount):
    """The query of an account's lots."""

    source: Name | None = Field(None, description="From this source only.")


class HoldsQuery(_OfAccount):
    """The query of an account's holds."""

    status: Literal["open", "captured", "released", "expired", "revoked"] | None = Field(
        None, description="Of this status only, as last booked."
    )


@router.get(
    "",
    summary="The accounts of the app",
    **described(
        answer=answers.Accounts,
        query=AccountsQuery,
        codes=("404 unknown_asset", "404 app_not_found"),
        media=MEDIA_TYPES,
    ),
)
async def get_accounts(request: Request) -> Response:
    """Of one asset, in the order of their users, each as it is now."""
    principal = staff(request, READ)
    query = parse_query(AccountsQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    wanted = _accounts_wanted(query, config)

    def shown(seen: Seen) -> dict[str, Any]:
        return _account_shown(core, config, seen)

    async def fetch(after: str, limit: int) -> list[Seen]:
        return await listing.accounts_page(core.reads, config.app, wanted, after, limit)

    listed = _Listing("accounts", _ACCOUNT_COLUMNS, "user", fetch, _user, shown)
    return await listed.answer(request, query)


def _user(seen: Seen) -> str:
    return "" if seen.account is None else seen.account.profile.user


def _account_shown(core: Core, config: AppConfig, seen: Seen) -> dict[str, Any]:
    if seen.account is None:
        raise LookupError("a list has an account that is not there")
    return account_view(at_time(seen.account, config, core.clocks.now_us(config.app)), seen.position)


def _accounts_wanted(query: AccountsQuery, config: AppConfig) -> AccountsWanted:
    asset = asset_of(config, query.asset)
    scale = config.scales[asset]
    return AccountsWanted(
        asset,
        query.status,
        query.plan,
        _units("settled_min", query.settled_min, scale),
        _units("settled_max", query.settled_max, scale),
        _units("owed_min", query.owed_min, scale),
    )


def _units(field: str, text: str | None, scale: int) -> int | None:
    if text is None:
        return None
    try:
        return parse_signed(text, scale)
    except AmountError as error:
        raise invalid(error.code, field, error.detail) from None


@router.get(
    "/{user}/lots",
    summary="What remains of the grants",
    **described(answer=answers.Lots, query=LotsQuery, codes=GONE, path="/{user}", media=MEDIA_TYPES),
)
async def get_lots(request: Request) -> Response:
    """In order of their ids."""
    found = await read_account(request, LotsQuery)
    query, account, core = found.asked.query, found.account, found.asked.core
    wanted = LotsWanted(*_times(query), every=query.all, source=query.source)

    async def fetch(after: str, limit: int) -> list[LotRow]:
        return await listing.lots_page(core.reads, found.asked.key, wanted, after, limit)

    def shown(row: LotRow) -> dict[str, Any]:
        # The row may be newer than the account: what time alone did is known of the account's lots only.
        lot: Lot = account.lots.get(row.lot.terms.id, row.lot)
        return lot_view(lot, account.profile.scale)

    listed = _Listing("lots", _LOT_COLUMNS, "id", fetch, lambda row: row.lot.terms.id, shown)
    return await listed.answer(request, query)


@router.get(
    "/{user}/holds",
    summary="Holds",
    **described(answer=answers.Holds, query=HoldsQuery, codes=GONE, path="/{user}", media=MEDIA_TYPES),
)
async def get_holds(request: Request) -> Response:
    """Open ones, or all, in order of their ids."""
    found = await read_account(request, HoldsQuery)
    query, core = found.asked.query, found.asked.core
    wanted = HoldsWanted(*_times(query), every=query.all, status=query.status)

    async def fetch(after: str, limit: int) -> list[HoldRow]:
        return await listing.holds_page(core.reads, found.asked.key, wanted, after, limit)

    def shown(row: HoldRow) -> dict[str, Any]:
        return hold_view(ended_by_time(row, found.now), found.account.profile.scale)

    listed = _Listing("holds", _HOLD_COLUMNS, "id", fetch, lambda row: row.hold.terms.id, shown)
    return await listed.answer(request, query)


def _times(query: _OfAccount) -> tuple[int | None, int | None]:
    return (
        None if query.since is None else from_datetime(query.since),
        None if query.until is None else from_datetime(query.until),
    )


def ended_by_time(row: HoldRow, now: int) -> HoldRow:
    """The hold as it is at `now`: past its limit it is expired, whether or not a sweep noticed."""
    if row.status == "open" and row.hold.expires_at <= now:
        return HoldRow(row.user, row.asset, row.hold, "expired", row.hold.expires_at)
    return row
