"""Where the answers to requests go: to a future each, or, of those that are waited for together, to one for all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from libs.service.problems import Problem


@dataclass(slots=True)
class Answer:
    """What the caller gets: a status and a JSON body. `replayed`: it was decided before and is only repeated.

    `outcome` is `ok` or the code of the refusal, for the metrics. `parts` are the answers of the items of a request
    that was done as one.
    """

    status: int
    body: bytes
    replayed: bool = False
    outcome: str = "ok"
    parts: tuple[Answer, ...] = ()


class Reply(Protocol):
    """What the writer tells an answer: a future, or a :class:`Part`."""

    def done(self) -> bool:
        """Whether nobody waits for an answer any more."""
        ...

    def set_result(self, answer: Answer, /) -> None:
        """The answer, after its commit."""
        ...

    def set_exception(self, problem: Problem, /) -> None:
        """Why there is none."""
        ...

    def exception(self) -> object:
        """Take note of why there is none, so that nobody is told that it was not heard."""
        ...


class Group:
    """Requests that are waited for together: `all_done` is done when the last of them is."""

    __slots__ = ("all_done", "left", "parts")

    def __init__(self, size: int) -> None:
        self.all_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.left = size
        self.parts = [Part(self) for _ in range(size)]


class Part:
    """The reply to one request of a group. A future for each would cost several times as much."""

    __slots__ = ("_group", "outcome")

    def __init__(self, group: Group) -> None:
        self._group = group
        self.outcome: Answer | Problem | None = None

    def done(self) -> bool:
        """Whether it is known, or nobody waits for the group any more."""
        return self.outcome is not None or self._group.all_done.cancelled()

    def set_result(self, outcome: Answer | Problem, /) -> None:
        """The answer, or why there is none."""
        self.outcome = outcome
        group = self._group
        group.left -= 1
        if not group.left and not group.all_done.done():
            group.all_done.set_result(None)

    set_exception = set_result

    def exception(self) -> object:
        """Nothing has to be noted here."""
        return None
