"""What all answers of the ledger share beside what every service's do: a write's answer."""

from __future__ import annotations

from libs.service.answers import Answer, Credits, Page, Time

__all__ = ["Answer", "Credits", "Page", "Time", "Written"]


class Written(Answer):
    """The account after a write, and the write's place in the log, good for `min_position`."""

    settled: Credits
    held: Credits
    owed: Credits
    available: Credits
    position: int
    partition: int
