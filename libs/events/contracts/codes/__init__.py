"""The published messages of codes. Importing this registers them all: `events` is what `codes.events` carries."""

from libs.events.contracts.codes import events

__all__ = ["events"]
