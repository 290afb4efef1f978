"""A caller over gRPC, beside the one over HTTP that has its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import grpc
import orjson
from google.protobuf.message import Message
from tallystick.ledger.v1 import ledger_pb2 as pb
from tallystick.ledger.v1.ledger_pb2_grpc import LedgerStub

from services.ledger.grpc_api.messages import message_of
from services.ledger.grpc_api.rpcs import UNARY, Rpc
from services.ledger.tests.http.client import Api

RPCS = {rpc.name: rpc for rpc in UNARY}
DEADLINE_S = 30.0
_KEYS = count()


@dataclass(slots=True)
class Refused(Exception):
    """A call that ended with a problem."""

    code: grpc.StatusCode
    details: str
    problem: dict[str, Any]
    trailing: dict[str, Any]


class Door:
    """Calls by their names, with fields as JSON has them."""

    def __init__(self, api: Api, port: int | None = None) -> None:
        self.api = api
        self.port = port or api.app.state.settings.grpc_port
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub = LedgerStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close(None)

    def as_(self, role: str, **options: Any) -> Door:
        """The same ledger for another caller, on the same connection."""
        other = object.__new__(Door)
        other.api, other.port = self.api.as_(role, **options), self.port
        other.channel, other.stub = self.channel, self.stub
        return other

    def metadata(self, **more: str) -> tuple[tuple[str, str], ...]:
        """What the caller sends with every call."""
        given = {"authorization": f"Bearer {self.api.token}", **more}
        if self.api.role == "system":
            given.setdefault("tallystick-app", self.api.of_app)
        return tuple(given.items())

    async def raw(
        self, rpc: Rpc, message: Message | bytes, metadata: tuple[tuple[str, str], ...]
    ) -> tuple[bytes, dict[str, Any]]:
        """One call as it is: the answer's bytes and its metadata. :class:`Refused` for a problem."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(
            f"/tallystick.ledger.v1.Ledger/{rpc.name}"
        )
        sent = message if isinstance(message, bytes) else message.SerializeToString()
        asked = call(sent, metadata=grpc.aio.Metadata(*metadata), timeout=DEADLINE_S)
        try:
            answer = await asked
        except grpc.aio.AioRpcError as error:
            trailing = dict(error.trailing_metadata())
            problem = orjson.loads(trailing.get("problem-bin", b"{}"))
            raise Refused(error.code(), error.details() or "", problem, trailing) from None
        return answer, dict(await asked.initial_metadata())

    async def call(self, name: str, *, once: str | None = None, **fields: Any) -> tuple[Any, bool]:
        """The answer and whether it is a repeat."""
        rpc = RPCS[name]
        if rpc.kind is not None:
            fields["idempotency_key"] = f"grpc-{next(_KEYS)}" if once is None else once
        answer, metadata = await self.raw(rpc, message_of(rpc.request, fields), self.metadata())
        message = message_of(rpc.answer.__name__, {})
        message.ParseFromString(answer)
        return message, metadata.get("idempotency-replayed") == "true"

    def execute(self) -> Any:
        """An open stream of commands."""
        return self.stub.Execute(metadata=grpc.aio.Metadata(*self.metadata()))


def charge(tag: str, user: str = "ann", amount: str = "1", key: str | None = None, **fields: Any) -> pb.CommandRequest:
    """A charge on a stream."""
    return pb.CommandRequest(
        tag=tag,
        charge_credits=pb.ChargeCreditsRequest(
            idempotency_key=tag if key is None else key, user=user, amount=amount, **fields
        ),
    )


def many(tag: str, *commands: pb.CommandRequest) -> pb.CommandRequest:
    """One message with these commands."""
    return pb.CommandRequest(tag=tag, commands=commands)


@asynccontextmanager
async def streaming(door: Door) -> AsyncIterator[Any]:
    """A stream that is cancelled at the end, if it has not ended by then."""
    stream = door.execute()
    try:
        yield stream
    finally:
        stream.cancel()
