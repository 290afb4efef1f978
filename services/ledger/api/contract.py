"""What the OpenAPI document says of the ledger's routes: as for every service, and what refuses its writes."""

from __future__ import annotations

from functools import partial

from libs.service import contract
from libs.service.contract import completed, inlined, schema_of

__all__ = ["completed", "described", "inlined", "schema_of"]

described = partial(
    contract.described,
    refused_writes=(
        *contract.WRITES,
        "404 app_not_found",
        "404 unknown_asset",
        "429 overloaded",
        "503 read_only",
        "503 not_leader",
    ),
)
"""See :func:`libs.service.contract.described`."""
