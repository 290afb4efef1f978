"""A call as the HTTP request that it stands for: the same endpoint takes it, with the same caller and the same key."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import grpc
import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from grpc import StatusCode
from starlette.requests import Request
from starlette.responses import Response

from libs.service.middleware import request_id_from
from libs.service.problems import Problem, problem_response
from services.ledger import api
from services.ledger.grpc_api.rpcs import Rpc

logger = logging.getLogger(__name__)

CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    402: StatusCode.FAILED_PRECONDITION,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    409: StatusCode.FAILED_PRECONDITION,
    412: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.RESOURCE_EXHAUSTED,
    422: StatusCode.INVALID_ARGUMENT,
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
}
"""By the status of the problem; every other one is INTERNAL."""
PROBLEM = "problem-bin"
"""The trailing metadata that holds the problem document."""
KEY = "idempotency-key"
_HEADERS = frozenset({"authorization", "tallystick-app", "traceparent", KEY})
ENDPOINTS = {
    (method, route.path): route.endpoint
    for router in api.ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
}
"""The routes' own functions."""
Metadata = Sequence[tuple[str, str | bytes]]


def http_request(
    app: FastAPI,
    metadata: Metadata,
    method: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    query: str = "",
    body: bytes = b"",
    key: str | None = None,
) -> Request:
    """The request that HTTP would have brought. Of the metadata, what HTTP's headers are called is taken."""
    given = {name: value for name, value in metadata if isinstance(value, str)}
    headers = {name: value for name, value in given.items() if name in _HEADERS}
    if key:
        headers[KEY] = key
    headers["content-type"] = "application/json"
    state = {"request_id": request_id_from(given.get("x-request-id", "").encode()), "door": "grpc"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(
        {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "path_params": dict(params or {}),
            "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
            "app": app,
            "state": state,
        },
        receive,
    )


def request_of(app: FastAPI, rpc: Rpc, metadata: Metadata, given: dict[str, Any]) -> Request:
    """The request of an RPC with these fields."""
    key = given.pop("idempotency_key", None)
    params = {word: str(given.pop(field, "")) for word, field in rpc.in_path}
    path = rpc.path.replace(":path", "")
    for word, value in params.items():
        path = path.replace(f"{{{word}}}", quote(value, safe=""))
    if rpc.method == "GET":
        texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
        return http_request(app, metadata, rpc.method, path, params=params, query=urlencode(texts))
    return http_request(app, metadata, rpc.method, path, params=params, body=orjson.dumps(given), key=key)


async def ask(request: Request, endpoint_path: str) -> Response:
    """The answer of the route's own function; a problem is an answer."""
    try:
        response: Response = await ENDPOINTS[request.method, endpoint_path](request)
    except Problem as problem:
        return problem_response(problem, request.scope["state"]["request_id"])
    except Exception as error:
        # What the application knows an answer to, it answers here as over HTTP.
        handlers = request.app.exception_handlers
        handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
        if handler is not None:
            answer: Response = await handler(request, error)
            return answer
        request_id = request.scope["state"]["request_id"]
        logger.exception("a call failed", extra={"request_id": request_id})
        return problem_response(Problem(next="Report the request_id; the log has what happened."), request_id)
    return response


async def refuse(context: grpc.aio.ServicerContext[Any, Any], response: Response) -> None:
    """End the call with the status of a problem, and the document in the trailing metadata."""
    document = orjson.loads(response.body)
    trailing: list[tuple[str, str | bytes]] = [(PROBLEM, bytes(response.body))]
    if "retry-after" in response.headers:
        trailing.append(("retry-after", response.headers["retry-after"]))
    code = CODES.get(response.status_code, StatusCode.INTERNAL)
    await context.abort(code, f"{document['code']}: {document['detail']}", tuple(trailing))
