"""Requests made from a service's own OpenAPI document, and whether the answers are what it says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from libs.service.auth import ROLE_SCOPES

LOADED = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
RETRY_S = 2.0
_QUIET = list(HealthCheck)
Operation = Any
"""schemathesis's `APIOperation`, whose type parameters are its own affair."""


@dataclass(slots=True)
class Faults:
    """What the answers of a run were: statuses, and each fault once with a request that shows it."""

    statuses: Counter[str] = field(default_factory=Counter)
    found: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Callers:
    """Where the service is, what makes a token for a role, and the ids of what there is, by the word that its routes
    begin with. Tokens are made for each request, since a trial lasts longer than a token of a person lives.
    """

    url: str
    token: Callable[[str], str]
    ids: Mapping[str, str]
    users: tuple[str, ...] = ("ann", "ben")
    good: Mapping[str, Any] = field(default_factory=dict)
    """Values for fields of bodies, by which writes about what exists succeed."""

    def known(self, path: str, name: str) -> str | None:
        """Something that exists, for a parameter of a path."""
        if name == "user":
            return self.users[0]
        if name == "key":
            return "moved"
        return next((each for word, each in self.ids.items() if f"/{word}/" in path), None)


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI document."""
    schema: Any = schemathesis.openapi.from_dict(dict(document))
    return [result.ok() for result in schema.get_all_operations()]


def try_operation(
    operation: Operation, callers: Callers, faults: Faults, *, mode: GenerationMode, examples: int, seed: int
) -> None:
    """So many requests to one operation, by callers of every role, of things that exist and of others."""
    checks = CHECKS.get_by_names(LOADED)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=_QUIET
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        role=st.sampled_from(sorted(ROLE_SCOPES)),
        real=st.booleans(),
    )
    def attempt(case: Any, role: str, real: bool) -> None:
        real = real and mode is GenerationMode.POSITIVE
        if real:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = callers.known(operation.path, name) or case.path_parameters[name]
            if isinstance(case.body, dict):
                case.body |= {name: value for name, value in callers.good.items() if name in case.body}
            role = "admin"
        headers = {"Authorization": f"Bearer {callers.token(role)}"}
        if real:
            headers |= {"Idempotency-Key": f"key-{faults.statuses.total()}", "Tallystick-App": "coins"}
        if role == "system":
            headers["Tallystick-App"] = "coins"
        response = case.call(base_url=callers.url, headers=headers, timeout=60)
        if response.status_code == 503:
            # What a service may say while its machine is too busy, as long as it is not for good.
            time.sleep(RETRY_S)
            response = case.call(base_url=callers.url, headers=headers, timeout=60)
        faults.statuses[str(response.status_code)] += 1
        if response.status_code == 503 and b"has not been reached yet" in response.content:
            # The position that the request waits for was drawn, too, and nothing may ever lie there.
            return
        try:
            case.validate_response(response, checks=checks, headers=headers)
        except BaseExceptionGroup as group:
            for failure in group.exceptions:
                _note(faults, operation, failure, case, response)

    # An operation that takes nothing cannot be asked wrongly.
    with contextlib.suppress(Unsatisfiable):
        attempt()


async def every_operation(
    document: Mapping[str, Any], callers: Callers, examples: int, seed: int, *, last: tuple[str, ...]
) -> Faults:
    """So many requests of each kind to every operation, in a thread; those whose paths end with `last` come last."""
    faults = Faults()
    for operation in sorted(operations(document), key=lambda one: one.path.endswith(last)):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            work = partial(try_operation, operation, callers, faults, mode=mode, examples=examples, seed=seed)
            await asyncio.to_thread(work)
    return faults


def _note(faults: Faults, operation: Operation, failure: BaseException, case: Any, response: Any) -> None:
    name = f"{operation.method.upper()} {operation.path}: {type(failure).__name__} at {response.status_code}"
    faults.found.setdefault(
        name, f"{failure}\n{case.as_curl_command()}\n{response.status_code} {response.content[:800]!r}"
    )
