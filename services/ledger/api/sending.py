"""Commands that come many at once: where each belongs, who decides it, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
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
from services.ledger.requests import Answer, Request
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

    async def placed(self, item: Item | Problem) -> Sent:
        """The command with its place; or with its refusal, where nobody needs to decide that."""
        if isinstance(item, Problem):
            return Sent(None, answer=self.refusal(item))
        sent = Sent(item)
        try:
            if self.principal.scopes.isdisjoint(SCOPES[item.type]):
                raise ScopeMissing(SCOPES[item.type][0])
            request = request_of(item, self.origin)
            sent.partition = self.core.partition_of(request)
            await self._complete(request)
        except Problem as problem:
            sent.answer = self.refusal(problem)
        else:
            sent.request = request
        return sent

    async def _complete(self, request: Request) -> None:
        await self.core.hear_of(request)
        if request.type == "account.erase" and request.asset is None:
            # The texts are the user's, whatever the asset: any account that there is can carry the event.
            request.asset = next(iter(await assets_of(self.core.reads, request.app, request.user)), None)

    def submit(self, sent: Sent) -> bool:
        """Hand a command to this process's writer; False if another process writes its account."""
        writer = self.core.writer_of(sent.partition)
        if writer is None or sent.request is None:
            return False
        try:
            writer.submit(sent.request)
        except Problem as problem:
            sent.answer = self.refusal(problem)
        return True

    async def hear(self, sent: Sent) -> Answer:
        """The answer to a submitted command."""
        if sent.answer is None and sent.request is not None:
            try:
                sent.answer = await self.followed(sent, await sent.request.answer)
            except Problem as problem:
                sent.answer = self.refusal(problem)
        assert sent.answer is not None  # noqa: S101 - what was not submitted has been refused
        return sent.answer

    async def followed(self, sent: Sent, answer: Answer) -> Answer:
        """The writer's answer; of a transfer what became of it, once its credit was waited for."""
        if sent.request is None or sent.request.type != "transfer":
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
