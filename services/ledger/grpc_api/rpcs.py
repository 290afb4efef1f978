"""Every unary RPC: which route of HTTP it is, the fields of its request, and what it answers.

The service definition is made of this table (`proto.py`), and the server serves by it: a command that HTTP takes and a
field that it knows are there without anybody writing them down again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, create_model

from services.ledger.api import answers, explained
from services.ledger.api.accounts import AssetQuery, StateQuery
from services.ledger.api.commands import ROUTES
from services.ledger.api.explain import ExplainQuery
from services.ledger.api.journal import JournalQuery
from services.ledger.api.listing import AccountsQuery, HoldsQuery, LotsQuery
from services.ledger.api.prices import PricesQuery
from services.ledger.api.records import OutcomeQuery
from services.ledger.handlers.commands import KINDS, Kind
from services.ledger.handlers.items import MODELS

SERVICE = "tallystick.ledger.v1.Ledger"
_NAMES = {"account.thresholds": "SetThresholds", "account.erase": "EraseTexts", "quote": "MakeQuote"}
"""Of commands that are no Kafka messages, whose names the others have."""
_SENT_APART = frozenset({"type", "key"})
"""Fields of an item of a batch that are no fields of its command."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC. `fields` is the model of its request; `in_path` are those fields that HTTP has in the path, by its word.

    `kind` is set for a command, `left_out` are fields of the model that the request does not have.
    """

    name: str
    method: str
    path: str
    fields: type[BaseModel]
    answer: type[answers.Answer]
    in_path: tuple[tuple[str, str], ...] = ()
    kind: str | None = None
    left_out: frozenset[str] = frozenset()

    @property
    def request(self) -> str:
        """The name of the request's message."""
        return f"{self.name}Request"


def _name(kind: Kind) -> str:
    return kind.contract.__name__ if kind.contract is not None else _NAMES[kind.name]


def _command(name: str, method: str, path: str, answer: type[answers.Answer]) -> Rpc:
    kind = KINDS[name]
    word = "user" if "{user}" in path else "id"
    in_path = ((word, kind.id_field),) if kind.id_field is not None else ()
    return Rpc(_name(kind), method, f"/v1{path}", MODELS[name], answer, in_path, name, _SENT_APART)


COMMANDS = (
    *(_command(route.kind, route.method, route.path, route.answer) for route in ROUTES),
    _command("transfer", "POST", "/transfers", answers.Transfer),
)


class _NoQuery(BaseModel):
    """Of a read that is asked by its path alone."""


def _read(name: str, path: str, query: type[BaseModel], answer: type[answers.Answer], word: str = "") -> Rpc:
    fields: dict[str, Any] = {word: (str, ...)} if word else {}
    model = create_model(f"{name}Fields", __base__=query, __doc__=query.__doc__, **fields)
    in_path = ((word, word),) if word else ()
    return Rpc(name, "GET", f"/v1{path}", model, answer, in_path, left_out=frozenset({"format"}))


READS = (
    _read("GetAccount", "/accounts/{user}", AssetQuery, answers.AccountRecord, "user"),
    _read("ListAccounts", "/accounts", AccountsQuery, answers.Accounts),
    _read("GetState", "/accounts/{user}/state", StateQuery, answers.State, "user"),
    _read("ListLots", "/accounts/{user}/lots", LotsQuery, answers.Lots, "user"),
    _read("ListHolds", "/accounts/{user}/holds", HoldsQuery, answers.Holds, "user"),
    _read("ListTransactions", "/accounts/{user}/transactions", JournalQuery, answers.Transactions, "user"),
    _read("ExplainAccount", "/accounts/{user}/explain", ExplainQuery, explained.AccountExplanation, "user"),
    _read("ExplainCharge", "/charges/{id}/explain", _NoQuery, explained.ChargeExplanation, "id"),
    _read("GetCommand", "/commands/{key:path}", OutcomeQuery, answers.Outcome, "key"),
    _read("GetPrices", "/prices", PricesQuery, answers.Prices),
)
UNARY = (*COMMANDS, *READS)


def snake(name: str) -> str:
    """The field of a message that holds one: `GrantCredits` is `grant_credits`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
