"""SQL of the ledger: asyncpg is used in this room only."""
