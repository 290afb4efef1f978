"""The ledger's published messages. Importing this registers them all.

`commands` has HTTP bodies and Kafka commands, `events` what `ledger.events` carries, `fields` what both are made of.
"""

from libs.events.contracts.ledger import commands, events

__all__ = ["commands", "events"]
