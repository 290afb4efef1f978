"""What became of commands, the app's figures, its log, its configuration and its test clock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .._decode import decode
from .._request import Reply, Request, new_key, one, page_of, read
from ..errors import UnexpectedAnswer
from ..models import CommandOutcome, Config, ConfigChange, Event, Feed, Page, Statistics
from ..values import path, present, time_of, time_text


def get_command(key: str, user: str, *, caller: str | None = None) -> Request[CommandOutcome]:
    """What became of the write with this idempotency key. Raises NotFound if none was decided, or 35 days ago.

    `caller` asks for another caller's key, for admins.
    """
    return read(path("commands", key), one(CommandOutcome), user=user, caller=caller)


def statistics() -> Request[Statistics]:
    """Totals of the app."""
    return read(path("statistics"), one(Statistics))


def feed(topic: str, partition: int, *, after: int = 0, limit: int | None = None) -> Request[Feed]:
    """Published messages of one partition after the sequence number `after`, for consumers that missed some.

    There are more while the last one's `seq` is below `head`.
    """
    return read(path("feed"), one(Feed), topic=topic, partition=partition, after=after, limit=limit)


def events(
    *,
    user: str | None = None,
    type: str | None = None,  # noqa: A002 -- the filter's own name
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Event]]:
    """Events of the app's log."""
    return read(
        path("events"),
        page_of(Event),
        user=user,
        type=type,
        since=time_text(since) if since else None,
        until=time_text(until) if until else None,
        limit=limit,
        cursor=cursor,
    )


def get_config() -> Request[Config]:
    """The app's configuration in force."""
    return read(path("config"), _config)


def put_config(
    config: Mapping[str, Any], *, if_match: str | None = None, idempotency_key: str | None = None
) -> Request[Config]:
    """Apply a configuration. `if_match` is the `etag` it was made from; raises Conflict when it has changed since."""
    return Request(
        "PUT",
        path("config"),
        _config,
        json=config,
        headers=present({"If-Match": if_match}),
        key=idempotency_key or new_key(),
    )


def plan_config(config: Mapping[str, Any]) -> Request[ConfigChange]:
    """What applying a configuration would change; nothing is."""
    return Request("PUT", path("config"), one(ConfigChange), params={"dry_run": "true"}, json=config, key=new_key())


def get_test_clock() -> Request[datetime]:
    """The time of an app in test mode. Raises Forbidden outside test mode."""
    return read(path("test-clock"), _clock)


def put_test_clock(now: datetime, *, idempotency_key: str | None = None) -> Request[datetime]:
    """Move the clock of an app in test mode, forward only."""
    return Request("PUT", path("test-clock"), _clock, json={"now": time_text(now)}, key=idempotency_key or new_key())


def _config(reply: Reply) -> Config:
    return decode(Config, reply.body, etag=reply.etag)


def _clock(reply: Reply) -> datetime:
    try:
        return time_of(reply.body["now"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(f"a clock was expected, {reply.body!r} came") from error
