"""The services of Tallystick over gRPC: the ledger."""
