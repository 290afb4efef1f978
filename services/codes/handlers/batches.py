"""Batches: asked for at once, made by the worker chunk by chunk, exported once, voided at once."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import orjson

from libs.events.contracts.codes.events import BatchReady, BatchVoided
from libs.events.db import Connection, Pool
from libs.events.failpoints import reach
from libs.events.ids import Ids
from libs.events.outbox import Cause
from libs.events.partition import partition_of
from libs.service.once import Result, Wish, once
from libs.service.problems import NotFound, Problem
from services.codes.core import ANYBODY, Core
from services.codes.domain.asked import NewBatch
from services.codes.domain.specs import CodeSpec
from services.codes.domain.texts import Pattern, random_of, secret_of
from services.codes.handlers.making import LAST, SEED_BYTES, campaign_of, code_of
from services.codes.handlers.showing import batch_view
from services.codes.store import batches
from services.codes.store.batches import Batch, Made

PAGE = 2000
"""Codes that an export reads at a time."""
WORKER = Cause(actor="system:codes-worker")


class BatchNotReady(Problem):
    """Its codes are being made."""

    status = 409
    code = "batch_not_ready"
    title = "The batch is still being made"
    next = "Ask GET /v1/batches/{id} until its status is ready."


class BatchVoid(Problem):
    """Its codes are of no use any more."""

    status = 409
    code = "batch_void"
    title = "The batch is void"
    next = "Make another batch."


class AlreadyExported(Problem):
    """Its texts were given out, and are not known here any more."""

    status = 409
    code = "already_exported"
    title = "The batch has been exported, and its codes cannot be shown again"
    next = "Use that export. If it is lost, void the batch and make another."


@dataclass(frozen=True, slots=True)
class Texts:
    """Makes the texts of a batch, by their index."""

    secret: bytes
    pattern: Pattern

    def __call__(self, index: int) -> str:
        return self.pattern.text_of(random_of(self.secret, index))


def texts_of(core: Core, batch: Batch, seed: bytes) -> Texts:
    """The texts of a batch, from its seed and the pepper."""
    return Texts(secret_of(core.pepper, seed), Pattern(batch.spec["pattern"]))


async def create_batch(core: Core, wish: Wish, asked: NewBatch) -> Result:
    """Write a batch down once under the wish's key: 202, the worker makes it."""

    async def effect(connection: Connection) -> Result:
        campaign_id = await campaign_of(connection, wish.app, asked.campaign)
        terms = asked.for_one_use().model_dump(mode="json", include=set(CodeSpec.model_fields) - {"campaign"})
        batch = Batch(
            id=core.new_id("batch", wish.app),
            app=wish.app,
            spec={**terms, "pattern": asked.made_as.template},
            count=asked.count,
            created_at=await core.now_us(wish.app),
            created_by=wish.caller,
            name=asked.name,
            campaign_id=campaign_id,
        )
        await batches.insert_batch(connection, batch, secrets.token_bytes(SEED_BYTES))
        return Result(202, orjson.dumps(batch_view(batch)))

    return await once(core.pool, wish, effect)


async def work_on(core: Core, batch_id: str) -> None:
    """Make, or void, the next chunk of a batch. All of it is one transaction: what dies in between never was."""
    async with core.pool.acquire() as connection, connection.transaction():
        batch, seed = await batches.lock_batch(connection, batch_id)
        reach("batch.locked")
        if batch.status == "void":
            beyond = min(batch.void_index + core.settings.batch_chunk, batch.next_index)
            await batches.void_made(connection, batch.id, batch.void_index, beyond)
            batch = replace(batch, void_index=beyond)
        elif batch.status == "making" and seed is not None:
            batch = await _make_chunk(core, connection, batch, texts_of(core, batch, seed))
        reach("batch.chunk")
        await batches.set_progress(connection, batch)


async def _make_chunk(core: Core, connection: Connection, batch: Batch, text_of: Texts) -> Batch:
    beyond = batch.next_index + min(core.settings.batch_chunk, batch.count - batch.made)
    ids = Ids(core.ulids, partition_of(batch.app, ANYBODY, core.settings.partitions), core.clock.now_us())
    made = []
    for index in range(batch.next_index, beyond):
        text = text_of(index)
        made.append(Made(ids.new("code"), core.digest(batch.app, text), text[-LAST:], index))
    spec = CodeSpec.model_validate({name: value for name, value in batch.spec.items() if name != "pattern"})
    template = code_of(
        spec,
        id="",
        app=batch.app,
        batch_id=batch.id,
        campaign_id=batch.campaign_id,
        created_at=batch.created_at,
        created_by=batch.created_by,
    )
    # A text that the app has already is passed over: another index is tried in its place by the next chunk.
    batch = replace(batch, made=batch.made + await batches.insert_made(connection, template, made), next_index=beyond)
    if batch.made < batch.count:
        return batch
    told = BatchReady(batch=batch.id, count=batch.count)
    await core.outbox.add(connection, told, app=batch.app, user=ANYBODY, cause=WORKER)
    return replace(batch, status="ready", ready_at=await core.now_us(batch.app))


async def void_batch(core: Core, wish: Wish, batch_id: str, cause: Cause) -> Result:
    """Void a batch, whose codes are refused from now on; 200, also where it was so already.

    The worker voids the codes themselves in chunks behind it.
    """

    async def effect(connection: Connection) -> Result:
        await found(connection, wish.app, batch_id)
        batch, _ = await batches.lock_batch(connection, batch_id)
        if batch.status != "void":
            batch = replace(batch, status="void")
            await batches.set_progress(connection, batch)
            await batches.destroy_seed(connection, batch.id, None)
            told = BatchVoided(batch=batch.id)
            await core.outbox.add(connection, told, app=wish.app, user=ANYBODY, cause=cause)
        return Result(200, orjson.dumps(batch_view(batch)))

    return await once(core.pool, wish, effect)


async def found(connection: Pool | Connection, app: str, batch_id: str) -> Batch:
    """The batch of this id; 404 otherwise."""
    batch = await batches.batch_by_id(connection, app, batch_id)
    if batch is None:
        raise NotFound("batch")
    return batch


async def peek(core: Core, app: str, batch_id: str) -> tuple[Batch, Texts]:
    """The texts of a batch that may be exported, without exporting it: to see whether a sheet can be made of it."""
    async with core.pool.acquire() as connection, connection.transaction():
        return await _exportable(core, connection, app, batch_id)


async def take_texts(core: Core, app: str, batch_id: str) -> tuple[Batch, Texts]:
    """The texts of a batch for the one export, which begins with this.

    What they are made from is destroyed before the first of them leaves. If the export breaks off, by whoever's fault,
    its texts are lost, and the batch is voided and made anew: better than texts that were given out twice.
    """
    async with core.pool.acquire() as connection, connection.transaction():
        batch, texts = await _exportable(core, connection, app, batch_id)
        now_us = await core.now_us(app)
        await batches.destroy_seed(connection, batch.id, now_us)
    return replace(batch, exported_at=now_us), texts


async def _exportable(core: Core, connection: Connection, app: str, batch_id: str) -> tuple[Batch, Texts]:
    await found(connection, app, batch_id)
    batch, seed = await batches.lock_batch(connection, batch_id)
    if batch.status == "void":
        raise BatchVoid
    if batch.exported_at is not None or seed is None:
        raise AlreadyExported
    if batch.status == "making":
        raise BatchNotReady(f"{batch.made} of {batch.count} codes are made.")
    return batch, texts_of(core, batch, seed)


async def exported(core: Core, batch: Batch, text_of: Texts) -> AsyncIterator[tuple[str, str]]:
    """Every code of a batch that is not void: (id, text), in the order in which they were made."""
    after = -1
    while True:
        rows = await batches.made_page(core.pool, batch.id, after, PAGE)
        for index, code_id in rows:
            yield code_id, text_of(index)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]
