"""Deterministic simulation: the real writer, relay and consumers on a simulated database, broker, clock and chance."""
