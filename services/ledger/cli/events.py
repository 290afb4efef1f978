"""`tallystick events tail` and `tallystick dead-letters list|replay`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
import typer

from libs.events.dead_letters import list_dead_letters, request_replay
from libs.service.auth import EVENTS_READ
from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, CliError, CliSettings, call, cli_settings
from libs.service.clock import format_time, from_datetime
from libs.service.db import create_pool
from services.ledger.cli.access import WAIT_S, Access
from services.ledger.store.log_source import EVENTS_TOPIC

_POLL_S = 0.5
_PAGE = 1000


def tail(
    app: Annotated[str | None, typer.Option(help="Of this app only.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Such as credits_charged.")] = None,
    last: Annotated[int, typer.Option(help="How many events of the past to show.", min=0)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One CloudEvents object per line.")] = False,
) -> None:
    """Show the last events of the log, of all partitions in order of time, through the ledger's feed."""
    settings = cli_settings()
    places = _ends(settings)

    def wanted(event: dict[str, Any]) -> bool:
        return app in (None, event["app"]) and event_type in (None, event["type"], event["type"].split(".")[1])

    past: list[dict[str, Any]] = []
    for partition, end in places.items():
        # Filters may pass over much of a partition, so it is read backwards, a page at a time.
        found: list[dict[str, Any]] = []
        after = end
        while after > 0 and len(found) < last:
            before, after = after, max(0, after - _PAGE)
            page = _page(settings, partition, after, before - after)
            found = [event for event in page if wanted(event)] + found
        past += found[len(found) - min(last, len(found)) :]
    past.sort(key=lambda event: (event["time"], event["partition"], event["seq"]))
    for event in past[len(past) - min(last, len(past)) :]:
        _print(event, as_json=as_json)
    try:
        while follow:
            time.sleep(_POLL_S)
            for event in _new(settings, places):
                if wanted(event):
                    _print(event, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _feed(settings: CliSettings, partition: int, after: int, limit: int) -> dict[str, Any] | None:
    """A page of the feed; None for a partition that does not exist."""
    path = f"/v1/feed?topic={EVENTS_TOPIC}&partition={partition}&after={after}&limit={limit}"
    answer = call(settings, "ledger", "GET", path, scopes=[EVENTS_READ], answers=(200, 400) if partition else (200,))
    body: dict[str, Any] = answer.json()
    return body if answer.status_code == 200 else None


def _ends(settings: CliSettings) -> dict[int, int]:
    """The last `seq` of every partition."""
    ends: dict[int, int] = {}
    while (page := _feed(settings, len(ends), 0, 1)) is not None:
        ends[len(ends)] = page["head"]
    return ends


def _page(settings: CliSettings, partition: int, after: int, limit: int) -> list[dict[str, Any]]:
    page = _feed(settings, partition, after, limit)
    return [] if page is None else [{**event, "partition": partition} for event in page["events"]]


def _new(settings: CliSettings, places: dict[int, int]) -> Iterator[dict[str, Any]]:
    """What has come since, partition by partition; `places` moves on."""
    for partition, place in list(places.items()):
        after = place
        while page := _page(settings, partition, after, _PAGE):
            yield from page
            after = places[partition] = page[-1]["seq"]


def _print(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(event).decode(), flush=True)
        return
    data = event.get("data", {})
    words = [event["time"], event["app"], event["subject"], event["type"].split(".")[1]]
    words += [f"{name}={data[name]}" for name in ("amount", "reference", "code") if name in data]
    if "after" in data:
        words.append(f"settled={data['after']['settled']}")
    print("  ".join(words), f" [{event['partition']}:{event['seq']}]", flush=True)


def list_letters(
    consumer: Annotated[str | None, typer.Option(help="Of this consumer only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were replayed, too.")] = False,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, with the message.")] = False,
) -> None:
    """List messages that the ledger could not handle, with the reason. Ends with 1 if any wait for somebody."""
    access = Access()

    async def show() -> bool:
        pool = await create_pool(access.dsn, application_name="ledger-dead-letters", wait_s=WAIT_S)
        try:
            letters = await list_dead_letters(pool, consumer=consumer, everything=everything, limit=limit)
        finally:
            await pool.close()
        for letter in letters:
            at = format_time(from_datetime(letter.created_at))
            state = "replayed" if letter.replayed_at else "requested" if letter.replay_requested_at else "open"
            if as_json:
                shape = {
                    "id": letter.id,
                    "time": at,
                    "state": state,
                    "consumer": letter.consumer,
                    "source": letter.source,
                    "topic": letter.topic,
                    "partition": letter.partition,
                    "message_id": letter.message_id,
                    "type": letter.type,
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "message": letter.message.decode(errors="replace"),
                }
                print(orjson.dumps(shape).decode())
            else:
                what = letter.type or "unreadable"
                print(f"{letter.id}  {at}  {state}  {letter.topic}/{letter.partition}  {what}  {letter.reason}")
                if letter.detail:
                    print(f"    {letter.detail}")
        return any(letter.replayed_at is None for letter in letters)

    if run(show()):
        raise typer.Exit(EXIT_FOUND)


def replay_letters(
    letters: Annotated[list[int], typer.Argument(help="Numbers of dead letters, as `list` shows them.")],
) -> None:
    """Ask the running ledger to handle dead letters again."""
    access = Access()

    async def ask() -> list[int]:
        pool = await create_pool(access.dsn, application_name="ledger-dead-letters", wait_s=WAIT_S)
        try:
            return [letter for letter in letters if not await request_replay(pool, letter)]
        finally:
            await pool.close()

    missing = run(ask())
    asked = len(letters) - len(missing)
    print(f"{asked} will be handled again")
    if missing:
        raise CliError(f"there is no such open dead letter: {', '.join(map(str, missing))}", EXIT_FOUND)
