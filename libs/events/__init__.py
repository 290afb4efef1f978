"""Events and commands: contracts, envelope, bus, outbox, consumer and feed (see docs/architecture.md)."""
