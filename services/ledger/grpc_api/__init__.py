"""The ledger over gRPC: the routes of HTTP under other names, and a stream for many commands."""
