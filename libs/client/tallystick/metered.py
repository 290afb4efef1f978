"""`@metered`: a function whose calls are paid for.

@metered(client, price="text_generation", user="user_id")
async def generate(user_id: str, prompt: str) -> str: ...

Credits are held before it runs, captured after it returned, and released when it raised. Nobody overspends, however
many calls run at once, and a process that dies in the middle leaves a hold that ends by its time limit.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from ._async_client import AsyncClient
from ._client import Client
from ._sale import AsyncSale, Sale, Terms
from .values import Amount, Usage

P = ParamSpec("P")
R = TypeVar("R")
Finds = Callable[..., Any]
"""Given the arguments of a call."""
Costs = Callable[[Any], Amount]
Uses = Callable[[Any], Usage | None]
"""Given what a call returned, or an item of it."""


def metered(
    client: Client | AsyncClient,
    *,
    user: str | Finds,
    amount: Amount | Finds | None = None,
    price: str | Finds | None = None,
    quantity: Amount | Finds | None = None,
    model: str | Finds | None = None,
    estimate: Usage | Finds | None = None,
    usage: Uses | None = None,
    cost: Costs | None = None,
    key: str | Finds | None = None,
    ttl_s: int | None = None,
    service: str | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function paid work of the user that it is for.

    An `AsyncClient` goes with async functions and generators, a `Client` with plain ones. `user` and `key` are the
    name of a parameter, or a callable that is given the call's arguments; so may `amount`, `price`, `quantity`,
    `model` and `estimate` be. What is held is `amount`, or `price` and `quantity`, or what `model` costs for the
    `estimate` of a usage. What is captured is all of it, or what `usage` or `cost` make of the value returned; of a
    generator they are given each item, and the last that is not None counts.

    Under a `key`, such as the id of a job, the work is charged once however often it is tried.

    A call raises InsufficientCredits, BudgetExceeded and so on before the function runs. Of a generator that is
    closed early what it yielded is charged: its usage or cost so far, or all where there is none; nothing if it
    yielded nothing.
    """
    asked = {"amount": amount, "price": price, "quantity": quantity, "model": model, "usage": estimate}
    cost_given = {name: value for name, value in asked.items() if value is not None}
    options = {name: value for name, value in {"ttl_s": ttl_s, "service": service}.items() if value is not None}

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        tariff = Tariff(inspect.signature(function), user, key, cost_given, options, usage, cost)
        kinds = (inspect.iscoroutinefunction(function), inspect.isasyncgenfunction(function))
        if any(kinds) != isinstance(client, AsyncClient):
            raise TypeError("an AsyncClient goes with async functions, a Client with plain ones")
        wrapped: Any
        if isinstance(client, AsyncClient):
            wrapped = (_async_generator if kinds[1] else _coroutine)(client, tariff, cast(Any, function))
        else:
            generates = inspect.isgeneratorfunction(function)
            wrapped = (_generator if generates else _plain)(client, tariff, cast(Any, function))
        return cast(Callable[P, R], wraps(function)(wrapped))

    return wrap


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a decorated function's calls cost."""

    signature: inspect.Signature
    user: str | Finds
    key: str | Finds | None
    cost: dict[str, Any]
    options: dict[str, Any]
    uses: Uses | None
    costs: Costs | None

    def __post_init__(self) -> None:
        for name in (self.user, self.key):
            if isinstance(name, str) and name not in self.signature.parameters:
                raise TypeError(f"the function has no parameter {name!r}")

    def terms(self, args: Any, kwargs: Any) -> Terms:
        """The terms of one call."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()

        def found(wanted: str | Finds) -> str:
            return str(bound.arguments[wanted] if isinstance(wanted, str) else wanted(*args, **kwargs))

        cost = {name: value(*args, **kwargs) if callable(value) else value for name, value in self.cost.items()}
        return Terms(found(self.user), cost | self.options, None if self.key is None else found(self.key))

    def capture(self, result: Any) -> dict[str, Any]:
        """What to capture for this result; both None stands for all that is held."""
        return {
            "amount": None if self.costs is None else self.costs(result),
            "usage": None if self.uses is None else self.uses(result),
        }


class _Items:
    """What the items of a generator came to."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self.any = False
        self.due: dict[str, Any] = {}

    def saw(self, item: Any) -> None:
        """Another item is about to be yielded."""
        self.any = True
        self.due |= {name: value for name, value in self._tariff.capture(item).items() if value is not None}


def _plain(client: Client, tariff: Tariff, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with Sale(client, tariff.terms(args, kwargs)) as sale:
            result = function(*args, **kwargs)
            sale.capture(**tariff.capture(result))
            return result

    return call


def _coroutine(client: AsyncClient, tariff: Tariff, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with AsyncSale(client, tariff.terms(args, kwargs)) as sale:
            result = await function(*args, **kwargs)
            await sale.capture(**tariff.capture(result))
            return result

    return call


def _generator(client: Client, tariff: Tariff, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with Sale(client, tariff.terms(args, kwargs)) as sale, closing(function(*args, **kwargs)) as items:
            seen = _Items(tariff)
            try:
                for item in items:
                    seen.saw(item)
                    yield item
            except GeneratorExit:
                if seen.any:
                    sale.capture(**seen.due)
                raise
            sale.capture(**seen.due)

    return call


def _async_generator(client: AsyncClient, tariff: Tariff, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with AsyncSale(client, tariff.terms(args, kwargs)) as sale, aclosing(function(*args, **kwargs)) as items:
            seen = _Items(tariff)
            try:
                async for item in items:
                    seen.saw(item)
                    yield item
            except GeneratorExit:
                if seen.any:
                    await sale.capture(**seen.due)
                raise
            await sale.capture(**seen.due)

    return call
