"""The ledger: the single writer of the event store, and the balances projected from it."""
