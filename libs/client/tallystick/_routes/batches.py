"""Many commands at once."""

from .._request import Request, new_key, one
from ..batch import Batch
from ..models import BatchResults
from ..values import path


def batch(commands: Batch, *, idempotency_key: str | None = None) -> Request[BatchResults]:
    """Send a batch. A refusal is a result among the others; of an atomic batch it undoes them all."""
    return Request(
        "POST",
        path("batch"),
        one(BatchResults),
        json={"atomic": commands.atomic, "commands": commands.commands},
        key=idempotency_key or new_key(),
    )
