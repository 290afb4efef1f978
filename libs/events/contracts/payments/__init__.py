"""The published messages of payments. Importing this registers them all: `events` is what `payments.events` carries."""

from libs.events.contracts.payments import events

__all__ = ["events"]
