"""Commands that come many at once: where each belongs, who decides it, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request as HttpRequest

from libs.service.auth import Principal
from libs.service.problems import Problem, ScopeMissing
from services.ledger.api.commands import ROUTES
from services.ledger.api.support import (
    ADJUST,
    CONFIG,
    GRANT,
    SPEND,
    core_of,
    origin_of,
    permitted,
    transfers_of,
)
from services.ledger.core import Core
from services.ledger.handlers.commands import Origin
from services.ledger.handlers.items import Item, request_of
from services.ledger.replies import Answer, Group
from services.ledger.requests import Request
from services.ledger.store.reads import assets_of

PATH = "/v1/batch"
SCOPES = {**{route.kind: route.scopes for route in ROUTES}, "transfer": (SPEND,)}
"""Of which the caller needs one, by kind of command."""
_BALANCES = ("settled", "held", "owed", "available", "position", "partition")


@dataclass(slots=True)
class Sent:
    """One command: as it was sent, as it is asked of a writer, where it belongs, and what came of it."""

    item: Item | None
    request: Request | None = None
    partition: int = -1
    answer: Answer | None = None

    @property
    def is_transfer(self) -> bool:
        """Whether its answer is to wait for what another account does."""
        return self.request is not None and self.request.type == "transfer"


@dataclass(frozen=True, slots=True)
class Handed:
    """Commands that a writer has been given, to be answered together."""

    commands: list[Sent]
    group: Group


@dataclass(slots=True)
class Caller:
    """Who sends commands; `http` is the request to :data:`PATH` that they came with, or would have."""

    http: HttpRequest
    core: Core
    principal: Principal
    origin: Origin

    def refusal(self, problem: Problem) -> Answer:
        """A problem as the answer to one command."""
        return Answer(problem.status, orjson.dumps(problem.to_dict(self.origin.request_id)), outcome=problem.code)

    async def placed(self, items: Iterable[Item | Problem]) -> list[Sent]:
        """The commands with their places; or with their refusals, where nobody needs to decide that."""
        commands = [self._place(item) for item in items]
        for sent in commands:
            request = sent.request
            if request is not None and (request.type == "account.erase" or not self.core.knows(request)):
                await self._complete(sent, request)
        return commands

    def _place(self, item: Item | Problem) -> Sent:
        if isinstance(item, Problem):
            return Sent(None, answer=self.refusal(item))
        sent = Sent(item)
        try:
            if self.principal.scopes.isdisjoint(SCOPES[item.type]):
                raise ScopeMissing(SCOPES[item.type][0])
            request = request_of(item, self.origin)
            sent.partition = self.core.partition_of(request)
        except Problem as problem:
            sent.answer = self.refusal(problem)
        else:
            sent.request = request
        return sent

    async def _complete(self, sent: Sent, request: Request) -> None:
        try:
            await self.core.hear_of(request)
            if request.type == "account.erase" and request.asset is None:
                # The texts are the user's, whatever the asset: any account that there is can carry the event.
                request.asset = next(iter(await assets_of(self.core.reads, request.app, request.user)), None)
        except Problem as problem:
            sent.request, sent.answer = None, self.refusal(problem)

    def hand_over(self, commands: Iterable[Sent]) -> tuple[Handed | None, list[Sent]]:
        """Hand commands to this process's writer, in order; and those whose accounts other processes write."""
        here: list[Sent] = []
        elsewhere: list[Sent] = []
        requests: list[Request] = []
        writer = self.core.leader.writer
        for sent in commands:
            if sent.request is None:
                continue
            if writer is None or not writer.owns(sent.partition):
                elsewhere.append(sent)
            else:
                here.append(sent)
                requests.append(sent.request)
        handed = None if writer is None or not here else Handed(here, writer.submit_all(requests))
        return handed, elsewhere

    def tell(self, handed: Handed) -> None:
        """What has become of commands that were handed over, once all of it is known."""
        for sent, part in zip(handed.commands, handed.group.parts, strict=True):
            outcome = part.outcome
            sent.answer = outcome if isinstance(outcome, Answer) else self.refusal(outcome or Problem())

    async def hear(self, handed: Handed) -> None:
        """Wait until all is known, and for the credits of transfers."""
        await handed.group.all_done
        self.tell(handed)
        transfers = [sent for sent in handed.commands if sent.is_transfer]
        if transfers:
            # Each may have to wait for its credit.
            await asyncio.gather(*map(self.follow, transfers))

    async def follow(self, sent: Sent) -> None:
        """Of a transfer, wait for what becomes of it."""
        if sent.answer is not None:
            try:
                sent.answer = await self.followed(sent, sent.answer)
            except Problem as problem:
                sent.answer = self.refusal(problem)

    async def followed(self, sent: Sent, answer: Answer) -> Answer:
        """The writer's answer; of a transfer what became of it, once its credit was waited for."""
        if not sent.is_transfer:
            return answer
        return await transfers_of(self.http).outcome(answer)

    async def owner(self, sent: Sent) -> str | None:
        """The address of the process that writes a command's account, as far as it is known."""
        return await self.core.peers.owner(sent.partition)

    async def pass_on(self, group: Sequence[Sent]) -> list[dict[str, Any]]:
        """Let the process that writes these accounts decide these commands; the accounts after them, as it tells."""
        commands = [sent.item.model_dump(mode="json", exclude_unset=True) for sent in group if sent.item is not None]
        try:
            told = await self.core.peers.pass_on(self.http, group[0].partition, orjson.dumps({"commands": commands}))
        except Problem as problem:
            refused = self.refusal(problem)
        else:
            if told.status_code == 200:
                document = orjson.loads(told.body)
                for sent, result in zip(group, document["results"], strict=True):
                    sent.answer = _answer_of(result)
                accounts: list[dict[str, Any]] = document["accounts"]
                return accounts
            refused = Answer(told.status_code, bytes(told.body))
        for sent in group:
            sent.answer = refused
        return []


def caller_of(request: HttpRequest, known: Caller | None = None) -> Caller:
    """The caller, who must have at least one of the scopes that commands need; `known` if it is the same one."""
    principal = permitted(request, SPEND, GRANT, ADJUST, CONFIG)
    if known is not None and known.principal is principal:
        return known
    return Caller(request, core_of(request), principal, origin_of(request, principal, ""))


def result_of(answer: Answer) -> dict[str, Any]:
    """One command's result in the answer to many."""
    name = "body" if answer.status < 400 else "problem"
    return {"status": answer.status, "replayed": answer.replayed, name: orjson.Fragment(answer.body)}


def _answer_of(result: dict[str, Any]) -> Answer:
    content = result["body"] if "body" in result else result["problem"]
    return Answer(result["status"], orjson.dumps(content), result["replayed"])


class Accounts:
    """Accounts after commands: of several answers about one account, the latest by its position."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, account: dict[str, Any]) -> None:
        """An account as an answer shows it."""
        key = (account["user"], account["asset"])
        known = self._found.get(key)
        if known is None or known["position"] <= account["position"]:
            self._found[key] = account

    def hear(self, sent: Sent) -> None:
        """What the answer to a command that was decided here says of its account, or of both of a transfer's."""
        request, answer = sent.request, sent.answer
        if request is None or answer is None or answer.status >= 400:
            return
        body = orjson.loads(answer.body)
        if "accounts" in body:
            for side in body["accounts"]:
                self.add({"user": side["user"], "asset": body["asset"], **{name: side[name] for name in _BALANCES}})
        elif "settled" in body:
            self.add({"user": request.user, "asset": request.asset, **{name: body[name] for name in _BALANCES}})

    def told(self) -> list[dict[str, Any]]:
        """All of them, by user and asset."""
        return [self._found[key] for key in sorted(self._found)]
