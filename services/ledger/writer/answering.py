"""What the callers of the writer are told, after a commit or instead of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter

from libs.service.problems import Problem, Unavailable
from services.ledger import metrics
from services.ledger.requests import Answer, Request

READ_ONLY = "The database takes no writes at present."


class NotStored(Unavailable):
    """The database refuses this request, again and again, even alone."""


def answer_all(answers: Sequence[tuple[Request, Answer]], *, may_answer: bool) -> None:
    """Give the answers of a batch that is committed; without a valid lease, say only that they are stored."""
    if not may_answer:
        problem = Unavailable("The outcome is stored; ask for it by its idempotency key.")
        fail_all((request for request, _ in answers), problem)
        return
    for request, answer in answers:
        if not request.answer.done():
            request.answer.set_result(answer)
    metrics.answered(answers, perf_counter())


def fail_all(requests: Iterable[Request], problem: Problem) -> None:
    """Tell the callers of these requests that there is no answer."""
    for request in requests:
        fail(request, problem)


def fail(request: Request, problem: Problem) -> None:
    """Tell a request's caller that there is no answer."""
    if not request.answer.done():
        request.answer.set_exception(problem)
        # A caller that went away asks no more; its exception is not news.
        request.answer.exception()
