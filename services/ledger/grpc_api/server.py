"""The ledger's gRPC server: its calls, the health service and reflection, on a port beside HTTP's.

There is no TLS here: that is the mesh's or the proxy's affair, as it is for HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, TypeAlias

import grpc
import orjson
from fastapi import FastAPI
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio
from grpc_reflection.v1alpha import reflection
from starlette.responses import Response
from tallystick.ledger.v1 import ledger_pb2 as pb

from libs.events.tasks import end
from libs.service.health import Health
from libs.service.problems import InvalidRequest, Problem, Unavailable, problem_response
from services.ledger.api.sending import PATH, Caller, caller_of
from services.ledger.grpc_api import metrics
from services.ledger.grpc_api.calls import Metadata, ask, http_request, refuse, request_of
from services.ledger.grpc_api.messages import fields_of, item_of, message_of, result_of
from services.ledger.grpc_api.rpcs import SERVICE, UNARY, Rpc
from services.ledger.grpc_api.stream import CommandStream
from services.ledger.requests import Answer
from services.ledger.settings import LedgerSettings

GRACE_S = 5.0
"""How long calls that are under way may take to end, when the process ends."""
HEALTH_POLL_S = 1.0
METADATA_BYTES_MAX = 16_384
KEEPALIVE_TIMEOUT_MS = 20_000
PING_MIN_MS = 10_000
"""How often a client may ask whether the connection still lives."""
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Call: TypeAlias = Callable[[bytes, Context], Awaitable[Message]]


class Servicer:
    """Every method of the service. Messages come as bytes, so that what is none is refused as any bad request is."""

    def __init__(self, app: FastAPI, settings: LedgerSettings) -> None:
        self._app = app
        self._settings = settings
        self.closing = asyncio.Event()

    def handlers(self) -> grpc.GenericRpcHandler:
        """The methods by their names."""
        calls = {**{rpc.name: self._unary(rpc) for rpc in UNARY}, "Batch": self._batch}
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(self._counted(name, call)) for name, call in calls.items()
        }
        methods["Execute"] = grpc.stream_stream_rpc_method_handler(self._execute)
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _counted(self, name: str, call: Call) -> Callable[[bytes, Context], Awaitable[bytes]]:
        duration = metrics.DURATION.labels(name)

        async def counted(raw: bytes, context: Context) -> bytes:
            began = perf_counter()
            try:
                message = await call(raw, context)
            finally:
                duration.observe(perf_counter() - began)
                _count(name, context)
            return message.SerializeToString()

        return counted

    def _unary(self, rpc: Rpc) -> Call:
        async def unary(raw: bytes, context: Context) -> Message:
            message = await _parsed(getattr(pb, rpc.request), raw, context)
            request = request_of(self._app, rpc, _metadata(context), fields_of(rpc, message))
            response = await _answered(await ask(request, rpc.path), context)
            if "idempotency-replayed" in response.headers:
                await context.send_initial_metadata((("idempotency-replayed", "true"),))
            return message_of(rpc.answer.__name__, orjson.loads(response.body))

        return unary

    async def _batch(self, raw: bytes, context: Context) -> Message:
        message = await _parsed(pb.BatchRequest, raw, context)
        items = [item_of(command) for command in message.commands]
        body = orjson.dumps({"atomic": message.atomic, "commands": items})
        request = http_request(self._app, _metadata(context), "POST", PATH, body=body)
        response = await _answered(await ask(request, PATH), context)
        told = orjson.loads(response.body)
        results = []
        for command, item, result in zip(message.commands, items, told["results"], strict=True):
            content = orjson.dumps(result.get("body") or result.get("problem"))
            answer = Answer(result["status"], content, result["replayed"])
            results.append(result_of(command.tag, item.get("type"), answer))
        accounts = [pb.AccountAfter(**account) for account in told["accounts"]]
        return pb.BatchAnswer(results=results, accounts=accounts)

    async def _execute(self, messages: AsyncIterator[bytes], context: Context) -> None:
        request = http_request(self._app, _metadata(context), "POST", PATH)
        known: Caller | None = None

        def caller() -> Caller:
            nonlocal known
            known = caller_of(request, known)
            return known

        async def write(result: pb.CommandResult) -> None:
            await context.write(result.SerializeToString())

        with metrics.STREAMS.track_inprogress():
            try:
                # Who may send nothing at all learns it at once.
                caller()
                limits = self._settings.grpc_outstanding_max, self._settings.batch_items_max
                await CommandStream(caller, write, *limits).run(messages, self.closing)
                if self.closing.is_set():
                    raise Unavailable("This process ends; open another stream.")
            except Problem as problem:
                await refuse(context, problem_response(problem))
            except DecodeError:
                await refuse(context, _unreadable())
            finally:
                _count("Execute", context)


def _metadata(context: Context) -> Metadata:
    return [(str(name), value) for name, value in context.invocation_metadata() or ()]


def _unreadable() -> Response:
    return problem_response(InvalidRequest("The message could not be read."))


async def _parsed(kind: type[Message], raw: bytes, context: Context) -> Any:
    """The message; a call that brought none ends."""
    try:
        return kind.FromString(raw)
    except DecodeError:
        await refuse(context, _unreadable())


async def _answered(response: Response, context: Context) -> Response:
    """The answer; with a problem the call ends."""
    if response.status_code >= 400:
        await refuse(context, response)
    return response


_NAMES = {code.value[0]: code.name for code in StatusCode}


def _count(method: str, context: Context) -> None:
    code: Any = StatusCode.CANCELLED if context.cancelled() else context.code()
    name = _NAMES.get(code or 0, "UNKNOWN") if code is None or isinstance(code, int) else code.name
    metrics.REQUESTS.labels(method, name).inc()


def _server(settings: LedgerSettings) -> grpc.aio.Server:
    return grpc.aio.server(
        options=(
            # Without this a second process would share the port in silence.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", settings.batch_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", METADATA_BYTES_MAX),
            ("grpc.max_concurrent_streams", settings.grpc_streams_max),
            ("grpc.keepalive_time_ms", round(settings.grpc_keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.min_ping_interval_without_data_ms", PING_MIN_MS),
        ),
        maximum_concurrent_rpcs=settings.grpc_calls_max,
    )


@asynccontextmanager
async def grpc_served(app: FastAPI, settings: LedgerSettings, health: Health) -> AsyncIterator[None]:
    """Serve gRPC while the block lasts. At its end, what is under way has :data:`GRACE_S` to end.

    RuntimeError when the port is taken.
    """
    server, servicer, healthy = _server(settings), Servicer(app, settings), aio.HealthServicer()
    server.add_generic_rpc_handlers((servicer.handlers(),))
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name), server)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.add_insecure_port(f"{host}:{settings.grpc_port}")
    await _tell_health(healthy, health)
    await server.start()
    watching = asyncio.create_task(_watch_health(healthy, health), name="grpc-health")
    try:
        yield
    finally:
        await end(watching)
        await healthy.enter_graceful_shutdown()
        servicer.closing.set()
        await server.stop(GRACE_S)


async def _watch_health(healthy: aio.HealthServicer, health: Health) -> None:
    while True:
        await asyncio.sleep(HEALTH_POLL_S)
        await _tell_health(healthy, health)


async def _tell_health(healthy: aio.HealthServicer, health: Health) -> None:
    """The health service says what `/readyz` says: of the server, and of the one service that it has."""
    ready, _ = await health.run()
    status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for service in ("", SERVICE):
        await healthy.set(service, status)
