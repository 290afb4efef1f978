"""Given, when, then: a story of one app's accounts, told in commands, checked by the events that follow.

Ids are written by word and number in order of their making: `grant#1` is the first grant of the story.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.codec import TYPE_NAMES, encode
from services.ledger.domain.decide import Outcome
from services.ledger.domain.tests.book import SECOND, Book, config_of

_ID = re.compile(r"\b([a-z]+)_[0-9a-f]{2}[0-9A-HJKMNP-TV-Z]{26}\b")
_BOOKKEEPING = ("asset", "account_version", "config_version", "before", "after")
ANN = "ann"
Fact = tuple[str, dict[str, Any]]


def slices(**parts: int) -> list[dict[str, str]]:
    """`slices(grant1=30)` is 30 of `grant#1`."""
    return [{"lot": f"grant#{name.removeprefix('grant')}", "amount": str(amount)} for name, amount in parts.items()]


@dataclass
class Story:
    """A book, and names for its ids. Assets have no decimals, so amounts read as they are."""

    book: Book = field(default_factory=Book)
    last: Outcome | None = None
    _ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, **document: object) -> Story:
        """A story of an app with this configuration."""
        return cls(Book(config_of(**document)))

    def id(self, name: str) -> str:
        """The id that a name such as `hold#1` stands for."""
        return next(id_ for id_, short in self._ids.items() if short == name)

    def at(self, seconds: float) -> int:
        """The moment so many seconds from now."""
        return self.book.now + round(seconds * SECOND)

    def given(self, *commands: cmd.Command, user: str = ANN) -> Story:
        """These were done, and none of them was refused."""
        for command in commands:
            outcome = self._do(user, command)
            assert outcome.rejected is None, outcome.rejected
        return self

    def when(self, command: cmd.Command, user: str = ANN) -> Story:
        """This is asked now."""
        self.last = self._do(user, command)
        return self

    def after(self, seconds: float) -> Story:
        """Time has passed; no sweep ran."""
        self.book.advance(seconds)
        return self

    def then(self, *expected: Fact) -> Story:
        """Exactly these events follow from the last command, what was due among them."""
        assert self.last is not None
        assert self.last.rejected is None, self.last.rejected
        assert [self.told(event) for event in [*self.last.due, *self.last.events]] == list(expected)
        return self

    def refused(self, code: str, **extra: object) -> Story:
        """The last command was refused under this code, with these members, and nothing of it happened."""
        assert self.last is not None
        assert self.last.rejected is not None, f"not refused: {self.last.body}"
        assert self.last.rejected.code == code
        assert self.last.events == []
        for name, value in extra.items():
            assert self.last.rejected.extra[name] == value, name
        return self

    def said(self, detail: str) -> Story:
        """The last refusal is explained so."""
        assert self.last is not None
        assert self.last.rejected is not None
        assert self.last.rejected.detail == detail
        return self

    def answered(self, **members: object) -> Story:
        """The last answer has these members."""
        assert self.last is not None
        assert self.last.rejected is None, self.last.rejected
        body = orjson.loads(self._short(orjson.dumps(self.last.body)))
        assert {name: body[name] for name in members} == members
        return self

    def shows(self, user: str = ANN, service: str | None = None, **balances: int) -> Story:
        """A read of the account shows these balances now."""
        account = self.book.seen(user)
        shown = {
            "settled": account.settled,
            "held": account.held,
            "owed": account.owed,
            "available": account.available(service),
            "overdraft_used": account.overdraft_used,
        }
        assert {name: shown[name] for name in balances} == balances
        return self

    def told(self, event: ev.AccountEvent) -> Fact:
        """The name of an event and what is in its payload, without versions and balances."""
        payload = orjson.loads(self._short(encode(event, self.book.account(ANN).profile.scale)))
        name = TYPE_NAMES[type(event)].removeprefix("ledger.").removesuffix(".v1")
        return name, {key: value for key, value in payload.items() if key not in _BOOKKEEPING}

    def _do(self, user: str, command: cmd.Command) -> Outcome:
        named = {f.name: getattr(command, f.name) for f in fields(command)}
        outcome = self.book.do(user, replace(command, **{k: self._full(v) for k, v in named.items() if k in _NAMES}))
        for event in [*outcome.due, *outcome.events]:
            self._short(encode(event, 0))
        return outcome

    def _full(self, name: Any) -> Any:
        return self.id(name) if isinstance(name, str) and "#" in name else name

    def _short(self, text: bytes) -> str:
        return _ID.sub(self._name, text.decode())

    def _name(self, match: re.Match[str]) -> str:
        word = match[1]
        made = sum(short.startswith(f"{word}#") for short in self._ids.values())
        return self._ids.setdefault(match[0], f"{word}#{made + 1}")


_NAMES = {"grant", "hold", "charge"}
