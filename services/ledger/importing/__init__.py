"""Bringing another system's accounts and history into the ledger: read, sent as commands, compared afterwards."""
