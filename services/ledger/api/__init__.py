"""The ledger over HTTP."""

from services.ledger.api import (
    accounts,
    batch,
    commands,
    config,
    explain,
    feed,
    journal,
    listing,
    objects,
    prices,
    records,
    streams,
    transfers,
)

ROUTERS = (
    commands.router,
    batch.router,
    transfers.router,
    accounts.router,
    listing.router,
    journal.router,
    objects.router,
    explain.router,
    prices.router,
    records.router,
    config.router,
    feed.router,
    streams.router,
)
"""Every route of the ledger; the hot ones first, because they are looked for in order."""
