"""How fast the ledger is, beside what PostgreSQL itself does with the same work: `python -m bench`."""
