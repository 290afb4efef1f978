"""What a process of the ledger is made of, as its doors and jobs see it."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.ids import InvalidIdError, parse_id
from libs.events.partition import partition_of
from libs.service.clock import Clock, TestClocks
from libs.service.db import Pool
from libs.service.problems import NotFound, NotLeader
from services.ledger.configs import Configs
from services.ledger.domain.config import AppConfig
from services.ledger.forward import Peers
from services.ledger.requests import Answer, Request
from services.ledger.settings import LedgerSettings
from services.ledger.writer.engine import Writer
from services.ledger.writer.leader import Leader
from services.ledger.writer.log import APP_ACCOUNT


@dataclass(slots=True)
class Core:
    """One process. `pool` serves the writer and the jobs, `reads` everybody who only looks."""

    settings: LedgerSettings
    clock: Clock
    pool: Pool
    reads: Pool
    partitions: int
    leader: Leader
    configs: Configs
    clocks: TestClocks
    peers: Peers

    def partition_of(self, request: Request) -> int:
        """Where a request is decided; 404 when its target is no id of this deployment."""
        if not request.by_target:
            return partition_of(request.app, request.user or APP_ACCOUNT, self.partitions)
        return self.partition_of_id(request.target or "")

    def partition_of_id(self, text: str, word: str | None = None) -> int:
        """The partition that an id names; 404 `<word>_not_found` when it is no id of ours."""
        word = word or text.partition("_")[0]
        try:
            partition = parse_id(text, word)
        except InvalidIdError:
            raise NotFound(word) from None
        if partition >= self.partitions:
            raise NotFound(word)
        return partition

    def writer_of(self, partition: int) -> Writer | None:
        """This process's writer, if it owns the partition."""
        writer = self.leader.writer
        return writer if writer is not None and writer.owns(partition) else None

    def owned(self) -> list[int]:
        """The partitions that this process writes now."""
        writer = self.leader.writer
        return [] if writer is None else sorted(writer.owned)

    async def decide(self, request: Request) -> Answer:
        """The answer of this process's own writer; :class:`NotLeader` if another process owns the account."""
        writer = self.writer_of(self.partition_of(request))
        if writer is None:
            raise NotLeader("Another process writes this account.")
        return await self.decide_by(writer, request)

    async def decide_by(self, writer: Writer, request: Request) -> Answer:
        """The answer of the writer that owns the account, once it has heard of the app and the asset."""
        await self.hear_of(request)
        return await writer.submit(request)

    async def hear_of(self, request: Request) -> None:
        """Look for the request's app and asset where they are not known.

        Another shard may have applied a configuration just now; what it made is not to be refused here.
        """
        if not self.knows(request):
            await self.configs.refresh()

    def knows(self, request: Request) -> bool:
        """Whether this process has heard of the request's app and asset."""
        config = self.configs.get(request.app)
        return config is not None and (request.asset is None or request.asset in config.scales)

    async def config(self, app: str) -> AppConfig:
        """The app's configuration, looked up again if it is not known; 404 `app_not_found`."""
        config = self.configs.get(app)
        if config is None:
            await self.configs.refresh()
            config = self.configs.get(app)
        if config is None:
            raise NotFound("app")
        return config
