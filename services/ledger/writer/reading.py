"""What a batch must read before it can be decided: whatever its requests name and no layer knows.

What a layer does know is kept beside what was read, since the layers may forget it meanwhile: while the database
answers, a batch is committed and poured into them, which can push out what has not been used for long.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.service.db import Pool
from services.ledger.requests import Request
from services.ledger.store import load
from services.ledger.store.load import AccountKey, Loaded, RefKey, ResultKey
from services.ledger.writer.layer import Layers, newest
from services.ledger.writer.log import APP_ACCOUNT


async def read_for(pool: Pool, requests: Sequence[Request], layers: Layers, *, all_keys: bool) -> Loaded:
    """Everything that these requests need beyond the layers: first what ids stand for, then what hangs on users.

    Without `all_keys`, idempotency keys are looked up only for requests that ask for it.
    """
    loaded = Loaded(all_keys)
    targets = [target for request in requests for target in _targets(request, layers, loaded)]
    if targets:
        await load.load_targets(pool, list(dict.fromkeys(targets)), loaded)
    accounts: dict[AccountKey, None] = {}
    results: dict[ResultKey, None] = {}
    refs: dict[RefKey, None] = {}
    for request in requests:
        key = _account_key(request, layers, loaded)
        user = request.user if key is None else key[1]
        if key is not None and key[1] != APP_ACCOUNT:
            account = newest(layers.accounts, key)
            if account is None:
                accounts[key] = None
            else:
                loaded.accounts[key] = account
        if request.key and (all_keys or request.read_key):
            result_key = (request.app, user, request.key, request.caller)
            result = newest(layers.results, result_key)
            if result is None:
                results[result_key] = None
            else:
                loaded.results[result_key] = result
        if request.unique_ref is not None:
            refs[request.app, user, request.unique_type, request.unique_ref] = None
    if results:
        await load.load_results(pool, list(results), loaded)
    if refs:
        await load.load_refs(pool, list(refs), loaded)
    if accounts:
        await load.load_accounts(pool, list(accounts), loaded)
    return loaded


def _account_key(request: Request, layers: Layers, loaded: Loaded) -> AccountKey | None:
    if request.target is not None and request.by_target:
        owner = newest(layers.owners, request.target)
        return owner or loaded.owners.get(request.target)
    config = newest(layers.configs, request.app)
    if config is None or request.user == APP_ACCOUNT:
        return None
    return (request.app, request.user, request.asset or config.default_asset)


def _targets(request: Request, layers: Layers, loaded: Loaded) -> list[str]:
    """The ids that must be looked up: charges and transfers always, holds and lots when their account lacks them."""
    named = [*request.named]
    if request.target is not None:
        named.append(request.target)
    if request.transfer is not None and request.transfer != request.target:
        named.append(request.transfer)
    return [name for name in named if not _at_hand(name, layers, loaded)]


def _at_hand(name: str, layers: Layers, loaded: Loaded) -> bool:
    word = name.partition("_")[0]
    if word == "quote":
        quote = newest(layers.quotes, name)
        if quote is not None:
            loaded.quotes[name] = quote
        return quote is not None
    key = newest(layers.owners, name) if word in ("hold", "grant") else None
    account = None if key is None else newest(layers.accounts, key)
    if key is None or account is None or not (name in account.holds or name in account.lots):
        return False
    loaded.owners[name] = key
    loaded.accounts[key] = account
    return True
