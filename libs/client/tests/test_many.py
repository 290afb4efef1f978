"""Many commands on a gRPC stream: how they are put into messages, and their results taken out again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tallystick.ledger.many import messages, results, results_async
from tallystick.ledger.v1.ledger_pb2 import CommandRequest, CommandResult

pytestmark = pytest.mark.anyio
ANSWERS = [
    CommandResult(results=[CommandResult(tag="0"), CommandResult(tag="1")]),
    CommandResult(tag="refused", status=400),
    CommandResult(results=[CommandResult(tag="2")]),
]
TOLD = ["0", "1", "refused", "2"]


def test_commands_come_in_order_in_messages_of_a_size() -> None:
    made = list(messages((CommandRequest(tag=f"{n}") for n in range(5)), 2))
    assert [[each.tag for each in message.commands] for message in made] == [["0", "1"], ["2", "3"], ["4"]]
    assert list(messages([])) == []


def test_commands_are_taken_as_messages_are_wanted() -> None:
    commands = iter([CommandRequest(tag=f"{n}") for n in range(10)])
    next(messages(commands, 3))
    assert next(commands).tag == "3"


async def test_results_are_taken_out_of_messages() -> None:
    async def answers() -> AsyncIterator[CommandResult]:
        for answer in ANSWERS:
            yield answer

    assert [result.tag for result in results(ANSWERS)] == TOLD
    assert [result.tag async for result in results_async(answers())] == TOLD
