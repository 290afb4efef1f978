"""A story whose answers are written down."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from services.ledger.domain import commands as cmd
from services.ledger.domain.tests.spec import Story

Told = list[dict[str, Any]]


class Hearing:
    """A story whose answers are written down, each with its command."""

    def __init__(self, **document: object) -> None:
        self.story = Story.of(**document)
        self.told: Told = []

    def ask(self, *commands: cmd.Command, user: str = "ann") -> None:
        """Do these one after another."""
        for command in commands:
            self.story.when(command, user)
            outcome = self.story.last
            assert outcome is not None
            body: dict[str, Any] = outcome.body
            if outcome.rejected is not None:
                assert body == {}
                body = {"code": outcome.rejected.code, "detail": outcome.rejected.detail, **outcome.rejected.extra}
            events = [self.story.told(event) for event in [*outcome.due, *outcome.events]]
            self.told.append(
                {"command": type(command).__name__, "status": outcome.status, "body": self._short(body)}
                | ({"events": events} if events else {})
            )

    def end(self) -> Told:
        """All that was told, and how the accounts are left, without what is empty."""
        for user in self.story.book.accounts:
            account = asdict(self.story.book.seen(user))
            account["crossings"] = {str(level): crossing for level, crossing in account["crossings"].items()}
            there = {name: value for name, value in account.items() if value not in (None, {})}
            self.told.append({"account": user, **self._short(there)})
        return self.told

    def _short(self, told: dict[str, Any]) -> dict[str, Any]:
        short: dict[str, Any] = orjson.loads(self.story._short(orjson.dumps(told)))
        return short
