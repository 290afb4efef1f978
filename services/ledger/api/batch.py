"""Many commands in one request: each on its own, or all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.problems import Problem
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.sending import PATH, Accounts, Caller, Handed, Sent, caller_of, result_of
from services.ledger.api.support import answer_response
from services.ledger.handlers.items import BatchBody, parse_batch
from services.ledger.requests import Answer, together
from services.ledger.writer.atomic import NOT_DONE, refusal_of

router = APIRouter(tags=["records"])


class CrossPartition(Problem):
    """An atomic batch whose commands lie on several partitions."""

    status = 422
    code = "cross_partition_batch"
    title = "An atomic batch must lie on one partition"
    next = "Send the commands of one user at a time, or without `atomic`."


@router.post(
    PATH,
    summary="Many commands, in order",
    **described(
        answer=answers.Batch,
        body=BatchBody,
        codes=("409 batch_partly_known", "422 cross_partition_batch"),
        key="none",
    ),
)
async def post_batch(request: Request) -> Response:
    """Without `atomic`, 200 whatever became of the commands; with it, 200 or the problem of the first refused."""
    caller = caller_of(request)
    raw = await request.body()
    atomic, items = parse_batch(raw, caller.core.settings.batch_items_max)
    commands = await caller.placed(items)
    if atomic:
        return await _all_or_none(caller, commands, raw)
    return _told(commands, await _each(caller, commands))


async def _each(caller: Caller, commands: Sequence[Sent]) -> Accounts:
    """Have every command decided on its own; those of one account in order."""
    handed, elsewhere = caller.hand_over(commands)
    owners: dict[str | None, list[Sent]] = {}
    for sent in elsewhere:
        owners.setdefault(await caller.owner(sent), []).append(sent)
    passed_on = await asyncio.gather(_hear(caller, handed), *(caller.pass_on(group) for group in owners.values()))
    accounts = Accounts()
    for sent in [] if handed is None else handed.commands:
        accounts.hear(sent)
    for account in (account for group in passed_on for account in group):
        accounts.add(account)
    return accounts


async def _hear(caller: Caller, handed: Handed | None) -> list[dict[str, Any]]:
    if handed is not None:
        await caller.hear(handed)
    return []


async def _all_or_none(caller: Caller, commands: Sequence[Sent], raw: bytes) -> Response:
    for number, sent in enumerate(commands):
        if sent.answer is not None:
            statuses = [NOT_DONE] * len(commands)
            statuses[number] = sent.answer.status
            return answer_response(refusal_of(sent.answer, number, statuses))
    partitions = [sent.partition for sent in commands]
    if len(set(partitions)) > 1:
        raise CrossPartition(extra={"partitions": partitions})
    writer = caller.core.writer_of(partitions[0])
    if writer is None:
        return await caller.core.peers.pass_on(caller.http, partitions[0], raw)
    answer = await writer.submit(together([sent.request for sent in commands if sent.request is not None]))
    if not answer.parts:
        return answer_response(answer)
    accounts = Accounts()
    followed = [caller.followed(sent, part) for sent, part in zip(commands, answer.parts, strict=True)]
    for sent, told in zip(commands, await asyncio.gather(*followed), strict=True):
        sent.answer = told
        accounts.hear(sent)
    return _told(commands, accounts)


def _told(commands: Sequence[Sent], accounts: Accounts) -> Response:
    results = [result_of(sent.answer) for sent in commands if sent.answer is not None]
    body = orjson.dumps({"results": results, "accounts": accounts.told()})
    return answer_response(Answer(200, body))
