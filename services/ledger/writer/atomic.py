"""Several requests of one partition as one: all of them are done in one transaction, or none.

They are tried on a layer of their own above the batch, which is taken over as a whole or dropped as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from services.ledger.domain.rejections import conflict
from services.ledger.refusals import problem_of
from services.ledger.requests import Answer, Request

if TYPE_CHECKING:
    from services.ledger.writer.batch import Batch

NOT_DONE = 424
"""The status of an item that another item's refusal has kept from being done."""


def decide_together(batch: Batch, request: Request) -> Answer:
    """Decide the items of `request` in order. `parts` of the answer are theirs; a refusal is that of the first refused.

    A refusal is not stored under any key, so the same items may come again. Items whose outcomes are all known are
    repeated; where only some are known, nothing is done.
    """
    items = request.items
    known = [number for number, item in enumerate(items) if batch.knows(item)]
    if known and len(known) < len(items):
        return _partly_known(request, known)
    trial = batch.trial(items)
    for item in items:
        trial.decide(item)
        if trial.answers[-1][1].status >= 400 and not known:
            break
    parts = tuple(answer for _, answer in trial.answers)
    refused = next((number for number, part in enumerate(parts) if part.status >= 400), None)
    if refused is None:
        batch.take_over(trial)
        return Answer(200, b"", replayed=all(part.replayed for part in parts), parts=parts)
    batch.apply_due_of(trial, request)
    statuses = [part.status for part in parts] if known else [NOT_DONE] * len(items)
    statuses[refused] = parts[refused].status
    return refusal_of(parts[refused], refused, statuses)


def refusal_of(refused: Answer, index: int, statuses: list[int]) -> Answer:
    """The answer of a batch that one item's refusal has stopped: that item's problem, and where it stands."""
    document = {**orjson.loads(refused.body), "index": index, "statuses": statuses}
    return Answer(refused.status, orjson.dumps(document), refused.replayed, refused.outcome)


def _partly_known(request: Request, known: list[int]) -> Answer:
    rejected = conflict(
        "batch_partly_known", "Some of these commands have been decided before, and others have not.", {"known": known}
    )
    body = orjson.dumps(problem_of(rejected).to_dict(request.request_id))
    return Answer(rejected.status, body, outcome=rejected.code)
