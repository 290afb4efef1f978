"""Both clients' methods, in one table: a route's arguments are said once, and each client calls it in its own way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from ._request import Request
from ._routes import accounts, batches, holds, moves, pricing, records
from .models import Hold, Page

if TYPE_CHECKING:
    from ._async_client import AsyncCaller
    from ._async_hold import AsyncHolding
    from ._client import Caller
    from ._hold import Holding

P = ParamSpec("P")
T = TypeVar("T")


class _Builds(Generic[P, T]):
    """A method made of a route; its documentation and signature are the route's."""

    def __init__(self, build: Callable[P, Request[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__
        self.__wrapped__ = build


class Route(_Builds[P, T]):
    """Calls a route."""

    @overload
    def __get__(self, client: None, owner: type) -> Route[P, T]: ...
    @overload
    def __get__(self, client: Caller, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Caller | AsyncCaller | None, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T | Coroutine[Any, Any, T]:
            return client.call(self._build(*args, **kwargs))

        return method


class Every(_Builds[P, Page[T]]):
    """Iterates over every item of a list, fetching page after page as it goes."""

    @overload
    def __get__(self, client: None, owner: type) -> Every[P, T]: ...
    @overload
    def __get__(self, client: Caller, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Caller | AsyncCaller | None, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Iterator[T] | AsyncIterator[T]:
            return client.every(self._build(*args, **kwargs))

        return method


class HoldFor(_Builds[P, Hold]):
    """A hold as a `with` statement."""

    @overload
    def __get__(self, client: None, owner: type) -> HoldFor[P]: ...
    @overload
    def __get__(self, client: Caller, owner: type) -> Callable[P, Holding]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: type) -> Callable[P, AsyncHolding]: ...
    def __get__(self, client: Caller | AsyncCaller | None, owner: type) -> Any:
        if client is None:
            return self

        @wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Holding | AsyncHolding:
            return client.holding(self._build(*args, **kwargs))

        return method


class Surface:
    """Every route of the ledger, by name."""

    grant = Route(moves.grant)
    revoke = Route(moves.revoke)
    charge = Route(moves.charge)
    get_charge = Route(moves.get_charge)
    explain_charge = Route(moves.explain_charge)
    refund = Route(moves.refund)
    transfer = Route(moves.transfer)
    get_transfer = Route(moves.get_transfer)
    adjust = Route(moves.adjust)
    act = Route(moves.act)
    batch = Route(batches.batch)

    prices = Route(pricing.prices)
    quote = Route(pricing.quote)
    assign_plan = Route(pricing.assign_plan)
    reset = Route(pricing.reset)
    set_budgets = Route(pricing.set_budgets)
    budgets = Route(pricing.budgets)

    hold = HoldFor(holds.create_hold)
    create_hold = Route(holds.create_hold)
    get_hold = Route(holds.get_hold)
    capture = Route(holds.capture)
    extend = Route(holds.extend)
    release = Route(holds.release)

    get_account = Route(accounts.get_account)
    put_account = Route(accounts.put_account)
    state = Route(accounts.state)
    lots = Route(accounts.lots)
    every_lot = Every(accounts.lots)
    holds = Route(accounts.holds)
    every_hold = Every(accounts.holds)
    transactions = Route(accounts.transactions)
    every_transaction = Every(accounts.transactions)
    freeze = Route(accounts.freeze)
    unfreeze = Route(accounts.unfreeze)
    close_account = Route(accounts.close)
    put_thresholds = Route(accounts.put_thresholds)
    erase = Route(accounts.erase)
    explain = Route(accounts.explain)

    get_command = Route(records.get_command)
    statistics = Route(records.statistics)
    feed = Route(records.feed)
    events = Route(records.events)
    every_event = Every(records.events)
    get_config = Route(records.get_config)
    put_config = Route(records.put_config)
    plan_config = Route(records.plan_config)
    get_test_clock = Route(records.get_test_clock)
    put_test_clock = Route(records.put_test_clock)
