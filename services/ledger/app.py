"""The one place where the ledger is put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from libs.events.bus import Bus
from libs.events.tasks import end
from libs.service.app import Lifespan, create_app, request_id_of
from libs.service.auth import Authenticator
from libs.service.clock import Clock, LateClocks, SystemClock, TestClocks
from libs.service.db import Connection, close_pool, connect, create_pool, ping
from libs.service.health import Health, NotReady
from libs.service.middleware import BODY_BYTES_MAX
from libs.service.problems import Unavailable, problem_response
from libs.service.settings import ServiceSettings
from services.ledger import api
from services.ledger.anchors import anchor_directory, find_anchor_key, keep_anchoring
from services.ledger.api.commands import EXPRESS
from services.ledger.api.contract import completed
from services.ledger.api.sending import PATH
from services.ledger.configs import Configs
from services.ledger.consumers import CommandConsumer
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.forward import Peers
from services.ledger.grpc_api.server import grpc_served
from services.ledger.jobs import Jobs
from services.ledger.settings import LedgerSettings
from services.ledger.store.heads import read_deployment
from services.ledger.store.log_source import COMMANDS_TOPIC
from services.ledger.store.reads import UNREACHABLE
from services.ledger.streams import CLOSING, StreamLimits, Streams
from services.ledger.transfers import Transfers
from services.ledger.version import VERSION
from services.ledger.writer.leader import Leader, LeaseTimes
from services.ledger.writer.surroundings import Limits

logger = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 3_000
"""Of the writer's reads and of jobs, which take milliseconds."""


def build(settings: LedgerSettings, clock: Clock | None = None) -> FastAPI:
    """The ledger's application. Its lifespan opens the database, stands for the shard's lease and runs the jobs."""
    clock = clock or SystemClock()
    health = Health()
    clocks = LateClocks()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings, clock, clocks) as (core, transfers), AsyncExitStack() as stack:
            app.state.core = core
            app.state.transfers = transfers
            app.state.streams = await stack.enter_async_context(_streaming(core, app.state.stopping))
            health.add("database", lambda: ping(core.reads))
            health.add("writer", lambda: _has_writers(core))
            async with grpc_served(app, settings, health) if settings.grpc_port else nullcontext():
                yield

    authenticator = Authenticator(settings.jwks_file, "ledger", clock)
    return assemble(
        settings,
        clocks,
        authenticator=authenticator,
        health=health,
        lifespan=lifespan,
        body_bytes_max=settings.body_bytes_max,
        body_limits={PATH: settings.batch_bytes_max},
    )


def assemble(
    settings: ServiceSettings,
    clocks: TestClocks,
    *,
    authenticator: Authenticator | None = None,
    health: Health | None = None,
    lifespan: Lifespan | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
    body_limits: Mapping[str, int] | None = None,
) -> FastAPI:
    """The application of all routes. Without the rest it serves nobody, but can be described."""
    app = completed(
        create_app(
            title="Tallystick ledger",
            version=VERSION,
            settings=settings,
            routers=api.ROUTERS,
            lifespan=lifespan,
            health=health,
            authenticator=authenticator,
            test_clocks=clocks,
            body_bytes_max=body_bytes_max,
            body_limits=body_limits,
            express=EXPRESS,
        )
    )
    for kind in UNREACHABLE:
        app.add_exception_handler(kind, _on_unreachable)
    return app


async def _on_unreachable(request: Request, error: Exception) -> Response:
    logger.warning("the database did not answer a read: %r", error)
    return problem_response(Unavailable("The database does not answer just now."), request_id_of(request))


@asynccontextmanager
async def running(settings: LedgerSettings, clock: Clock, clocks: LateClocks) -> AsyncIterator[tuple[Core, Transfers]]:
    """A process of the ledger without its doors. At the end it lets go of the lease, after everything else."""
    async with AsyncExitStack() as stack:
        pool = await create_pool(
            settings.dsn,
            application_name="ledger",
            size_min=2,
            size_max=settings.pool_max,
            # The writer decides nothing while it reads; a link that loses an answer must not stop it for long.
            statement_timeout_ms=STATEMENT_TIMEOUT_MS,
            # Everything is looked up by index; plans made on the empty tables of a new deployment would not know that.
            settings={"enable_seqscan": "off"},
        )
        stack.push_async_callback(close_pool, pool)
        reads = await create_pool(settings.dsn, application_name="ledger-reads", size_max=settings.pool_max)
        stack.push_async_callback(close_pool, reads)
        deployment = await read_deployment(pool)
        peers = Peers(pool, settings.url)
        stack.push_async_callback(peers.close)

        def tell_writer(config: AppConfig) -> None:
            if leader.writer is not None:
                leader.writer.set_config(config)

        async def look_around() -> dict[str, AppConfig]:
            """What a new writer starts from; apps in test mode live by clocks that others may have put forward."""
            known = await configs.all()
            await clocks.load()
            return known

        configs = Configs(pool, tell_writer)
        leader = Leader(
            shard=settings.shard,
            url=settings.url,
            pool=pool,
            connect=lambda: _connect(settings),
            read_configs=look_around,
            clock=clock,
            app_now=lambda app: clocks.now_us(app) if clocks.in_test_mode(app) else None,
            partitions=deployment.partitions,
            limits=Limits(
                queue_max=settings.queue_max, batch_max=settings.batch_max, accounts_max=settings.accounts_max
            ),
            times=LeaseTimes(settings.lease_renew_s, settings.lease_answer_s, settings.lease_stale_s),
        )
        core = Core(settings, clock, pool, reads, deployment.partitions, leader, configs, clocks, peers)
        transfers = Transfers(core)
        jobs = Jobs(core, transfers, clock)
        clocks.open(pool, configs.clock_start, clock, jobs.clock_advanced)
        await configs.refresh()
        await clocks.load()
        leading = asyncio.create_task(leader.run(), name="leader")
        stack.push_async_callback(_end, leading)
        await stack.enter_async_context(jobs)
        await _open_kafka(stack, core)
        _keep_anchors(stack, core)
        yield core, transfers


@asynccontextmanager
async def _streaming(core: Core, stopping: asyncio.Event) -> AsyncIterator[Streams]:
    """What follows the log for the open streams; they end when the server begins to stop."""
    settings = core.settings
    limits = StreamLimits(
        settings.stream_poll_s, settings.stream_queue_max, settings.stream_listeners_max, settings.stream_per_user_max
    )
    streams = Streams(core.reads, limits)

    async def end_when_stopping() -> None:
        await stopping.wait()
        streams.stop(CLOSING)

    tasks = [asyncio.create_task(streams.run(), name="streams"), asyncio.create_task(end_when_stopping())]
    try:
        yield streams
    finally:
        await end(*tasks)


async def _open_kafka(stack: AsyncExitStack, core: Core) -> None:
    """Take commands from Kafka. A broker that is away delays them and nothing else."""
    settings = core.settings
    bus = Bus(settings.kafka, {COMMANDS_TOPIC: core.partitions}, client_id="ledger")
    await stack.enter_async_context(bus)
    consumer = CommandConsumer(
        bus=bus,
        pool=core.pool,
        writer=lambda: core.leader.writer,
        partitions=core.partitions,
        allowed={source: frozenset(types) for source, types in settings.command_sources.items()},
        outstanding_max=settings.command_outstanding_max,
    )
    stack.push_async_callback(_end, asyncio.create_task(consumer.run(), name="commands"))


def _keep_anchors(stack: AsyncExitStack, core: Core) -> None:
    """Anchor the log's heads outside the database, where there is a key to sign them with."""
    settings = core.settings
    key = find_anchor_key(settings.anchor_key, settings.data)
    if key is None:
        logger.warning("the log is not anchored: there is no key")
        return
    directory = anchor_directory(settings.anchors, settings.data)
    anchoring = keep_anchoring(core.pool, directory, key, interval_s=settings.anchor_s)
    stack.push_async_callback(_end, asyncio.create_task(anchoring, name="anchors"))


async def _connect(settings: LedgerSettings) -> Connection:
    """A connection for the writer. No statement of it has a time-out: a batch given up on may still be committed."""
    return await connect(settings.dsn, application_name="ledger-writer", statement_timeout_ms=0, wait_s=0)


async def _end(task: asyncio.Task[None]) -> None:
    """Stop a task; what it failed with before is raised."""
    await end(task)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()


async def _has_writers(core: Core) -> None:
    """Ready is who can have any command decided, here or by passing it on."""
    for partition in range(core.partitions):
        if core.writer_of(partition) is None and await core.peers.owner(partition) in (None, core.settings.url):
            raise NotReady("a partition has no writer yet")
