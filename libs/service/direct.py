"""Routes that are reached without the framework's layers, because they are asked thousands of times a second.

The framework matches routes in order, opens two exit stacks and wraps every call three times: for a small request that
costs as much as deciding it. A route qualifies when its path has no parameters its endpoint takes the bare
request and gives a response; what runs is that same endpoint, so both ways validate and answer alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.service.problems import Problem, problem_response


def qualifies(route: BaseRoute) -> bool:
    """Whether a route can be reached directly."""
    if not isinstance(route, APIRoute) or "{" in route.path or not inspect.iscoroutinefunction(route.endpoint):
        return False
    signature = inspect.signature(route.endpoint, eval_str=True)
    answer = signature.return_annotation
    return [each.annotation for each in signature.parameters.values()] == [Request] and (
        isinstance(answer, type) and issubclass(answer, Response)
    )


class DirectRoutes:
    """Calls the endpoints of qualifying routes at once, and hands every other request on."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, APIRoute) and qualifies(route)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
        except Problem as problem:
            response = problem_response(problem, scope["state"]["request_id"])
        except Exception as error:
            # What the application knows an answer to, it answers here as it does behind the layers.
            handlers = scope["app"].exception_handlers
            handler = next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)
