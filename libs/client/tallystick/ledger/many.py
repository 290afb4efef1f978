"""Many commands on a gRPC stream: a hundred to a message, because each message costs both sides more than a charge.

```python
with grpc.insecure_channel("127.0.0.1:9001") as channel:
    answers = LedgerStub(channel).Execute(messages(commands), metadata=metadata)
    for result in results(answers):
        ...
```

It needs `grpcio` and `protobuf`, as all of `tallystick.ledger.v1` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice

from .v1.ledger_pb2 import CommandRequest, CommandResult

COMMANDS = 100
"""Commands in a message; the ledger takes up to 1,000."""


def messages(commands: Iterable[CommandRequest], size: int = COMMANDS) -> Iterator[CommandRequest]:
    """The same commands in messages of up to `size` each, in order, for `Execute`."""
    left = iter(commands)
    while some := list(islice(left, size)):
        yield CommandRequest(commands=some)


def results(answers: Iterable[CommandResult]) -> Iterator[CommandResult]:
    """A result for each command. Those of one message are in its order; messages come as they are decided.

    A message that was refused as a whole is one result, with its problem.
    """
    for answer in answers:
        yield from answer.results or (answer,)


async def results_async(answers: AsyncIterable[CommandResult]) -> AsyncIterator[CommandResult]:
    """As :func:`results`, for `grpc.aio`; it takes what :func:`messages` gives as it is."""
    async for answer in answers:
        for result in answer.results or (answer,):
            yield result
