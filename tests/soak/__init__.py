"""The ledger under load for as long as asked, with a fault every so often."""
