"""Pure rules of the ledger: no input, no output, no clock, no random."""
