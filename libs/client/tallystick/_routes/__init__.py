"""Every route of the ledger as a pure function from arguments to a `Request`. Both clients are made of these."""
