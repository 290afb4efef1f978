"""What a batch's events mean for the tables and for whoever comes next: rows of projections, things found by id."""

from __future__ import annotations

from libs.events.partition import partition_of
from services.ledger.domain import events as ev
from services.ledger.domain.records import Resolution
from services.ledger.domain.state import Account, Hold, Profile
from services.ledger.store.append import Rows
from services.ledger.store.load import AccountKey, StoredTransfer
from services.ledger.store.rows import hold_row, lot_row, moment
from services.ledger.writer.layer import Layer


class Effects:
    """Collects, event by event, what is looked up by its own id; and, once, the rows of accounts and lots."""

    def __init__(self, layer: Layer, rows: Rows, partitions: int) -> None:
        self._layer = layer
        self._rows = rows
        self._partitions = partitions
        self._holds: dict[str, dict[str, object]] = {}
        self._first: dict[AccountKey, Account] = {}
        self._attached: set[str] = set()

    def found(self, key: AccountKey, account: Account) -> None:
        """The account as this batch first saw it."""
        self._first.setdefault(key, account)

    def attached(self, lots: set[str]) -> None:
        """Dead lots that were brought back into an account: rows that exist."""
        self._attached |= lots

    def project(self, before: Account, after: Account, event: ev.AccountEvent, position: int) -> None:
        """Note what one event did. `before` and `after` are the account around the whole command."""
        key = (after.profile.app, after.profile.user, after.profile.asset)
        match event:
            case ev.CreditsCharged(charge=charge) | ev.ChargeRefunded(charge=charge):
                self._remember(charge, key, position, event)
            case ev.HoldCreated(hold=hold) | ev.HoldExtended(hold=hold):
                self._layer.owners[hold] = key
                self._holds[hold] = hold_row(after, after.holds[hold])
            case ev.HoldCaptured(hold=hold, charge=charge):
                self._remember(charge, key, position, event)
                if event.final:
                    self._end_hold(after, before.holds[hold], "captured", event)
                else:
                    self._holds[hold] = hold_row(after, after.holds[hold])
            case ev.HoldReleased(hold=hold):
                self._end_hold(after, before.holds[hold], event.cause, event)
            case ev.HoldExpired(hold=hold):
                self._end_hold(after, before.holds[hold], "expired", event)
            case ev.TransferDebited():
                self._remember(event.transfer, key, position, event)
                self._open_transfer(event, after.profile)
            case ev.TransferCredited(transfer=transfer):
                self.settle(transfer, "completed", event.at)
            case ev.TransferReturned(transfer=transfer):
                self.settle(transfer, "returned", event.at)
            case ev.AccountChanged(erased=True):
                self._rows.add("erased", {"app": key[0], "user_id": key[1]})
            case _:
                pass

    def _remember(self, object_id: str, key: AccountKey, position: int, event: ev.AccountEvent) -> None:
        self._layer.owners[object_id] = key
        self._layer.objects.setdefault(object_id, []).append((position, event))

    def _end_hold(
        self, after: Account, hold: Hold, status: str, event: ev.HoldCaptured | ev.HoldReleased | ev.HoldExpired
    ) -> None:
        captured = int(event.captured_total)
        ended = Hold(hold.terms, (), hold.expires_at, captured)
        self._holds[hold.terms.id] = hold_row(after, ended, status, event.at)
        self._layer.resolutions[hold.terms.id] = Resolution(status, captured, event.at)

    def _open_transfer(self, event: ev.TransferDebited, profile: Profile) -> None:
        self._layer.transfers[event.transfer] = StoredTransfer(
            event.transfer, profile.app, profile.asset, profile.user, event.to_user, event.amount, "pending", None
        )
        self._rows.add(
            "transfers",
            {
                "id": event.transfer,
                "app": profile.app,
                "asset": profile.asset,
                "from_user": profile.user,
                "to_user": event.to_user,
                "from_partition": profile.partition,
                "to_partition": partition_of(profile.app, event.to_user, self._partitions),
                "amount": event.amount,
                "created_at": moment(event.at),
            },
        )

    def settle(self, transfer_id: str, status: str, at: int, refusal: str | None = None) -> None:
        """A transfer has come a step further."""
        self._rows.add("settled_transfers", {"id": transfer_id, "status": status, "refusal": refusal, "at": moment(at)})

    def take_over(self, upper: Effects) -> None:
        """What was collected on top of this is collected here."""
        self._holds.update(upper._holds)
        self._attached |= upper._attached
        for key, account in upper._first.items():
            self._first.setdefault(key, account)

    def finish(self) -> None:
        """Turn what changed between the first and the last sight of each account into rows."""
        rows = self._rows
        for key, account in self._layer.accounts.items():
            first = self._first[key]
            if account.version == first.version:
                continue
            rows.accounts.append(account)
            for lot_id, lot in account.lots.items():
                if first.lots.get(lot_id) is lot:
                    continue
                if lot_id in first.lots or lot_id in self._attached:
                    rows.lots.append(lot)
                else:
                    rows.add("lots", lot_row(account, lot))
                self._layer.owners.setdefault(lot_id, key)
        if self._holds:
            rows.rest["holds"] = list(self._holds.values())
