"""The ledger over HTTP."""

from services.ledger.api import accounts, commands, config, transfers

ROUTERS = (commands.router, transfers.router, accounts.router, config.router)
"""Every route of the ledger; the hot ones first, because they are looked for in order."""
