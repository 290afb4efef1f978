"""Streams: every change of an account and every event of an app, once, in order, and on from where a reader was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.ledger.tests.http.client import (
    DOCUMENT,
    Api,
    opened,
    prepare_ledger,
    running,
    served,
    until_ready,
)
from services.ledger.tests.http.sse import Event, listening
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
LONG_S = 600.0


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    return await database_from("ledger-streams", prepare_ledger)


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """A ledger on a port: an answer that goes on cannot be read without one."""
    async with opened(books, tmp_path, stream_life_s=LONG_S) as made:
        yield made


def admin(api: Api) -> Api:
    return api.as_("admin")


async def charges(api: Api, count: int, user: str = "ann") -> None:
    for _ in range(count):
        await api.post("/charges", {"user": user, "amount": "1"})


async def told_as_read(api: Api, events: list[Event], user: str = "ann", **params: str) -> None:
    """Each event's data is what `state` says of its position."""
    for event in events:
        assert event.name == "account"
        assert event.id == str(event.data["account_version"])
        assert event.data == await api.state(user, position=event.data["position"], **params)


async def test_every_version_of_an_account_in_order(api: Api) -> None:
    await api.grant("ann", "100", expires_at="2099-01-01T00:00:00Z")
    async with listening(api.as_("user", "ann"), "/accounts/ann/stream") as stream:
        first = await stream.next()
        assert (first.id, first.data["settled"]) == ("2", "100.00")
        assert stream.retry_ms == 2000
        await charges(api, 3)
        hold = await api.post("/holds", {"user": "ann", "amount": "5"})
        captured = await api.post(f"/holds/{hold['id']}/capture", {"amount": "2"})
        await api.post(f"/charges/{captured['charge']}/refund", {})
        events = await stream.take(6)
    assert [event.id for event in events] == ["3", "4", "5", "6", "7", "8"]
    assert [event.data["settled"] for event in events] == ["99.00", "98.00", "97.00", "97.00", "95.00", "97.00"]
    await told_as_read(api, [first, *events])


async def test_what_happens_together_is_told_one_by_one(api: Api) -> None:
    await api.grant("ann", "10")
    async with listening(api, "/accounts/ann/stream") as stream:
        await stream.next()
        grants = [api.grant("ann", "1", priority=number) for number in range(1, 40)]
        await asyncio.gather(*grants)
        events = await stream.take(39)
    assert [event.id for event in events] == [str(number) for number in range(3, 42)]
    await told_as_read(api, events)


async def test_a_lot_that_was_used_up_before_comes_back(api: Api) -> None:
    """A stream knows only what is left; a refund and a revoke name what is not."""
    spent = await api.grant("ann", "5")
    charge = await api.post("/charges", {"user": "ann", "amount": "5"})
    other = await api.grant("ann", "7", priority=1)
    gone = await api.post("/charges", {"user": "ann", "amount": "7"})
    async with listening(api, "/accounts/ann/stream") as stream:
        await stream.next()
        await asyncio.gather(
            api.post(f"/charges/{charge['id']}/refund", {"amount": "1"}),
            api.post(f"/charges/{gone['id']}/refund", {"amount": "2"}),
            api.post(f"/charges/{charge['id']}/refund", {"amount": "1"}),
        )
        await api.post(f"/grants/{other['id']}/revoke", {"policy": "absorb"})
        events = await stream.take(4)
    assert events[-1].data["settled"] == "2.00"
    assert [lot["id"] for lot in events[-1].data["lots"]] == [spent["id"]]
    await told_as_read(api, events)


async def test_an_account_stream_resumes_behind_the_version_seen(api: Api) -> None:
    await api.grant("ann", "100")
    await charges(api, 5)
    async with listening(api, "/accounts/ann/stream", after="4") as stream:
        missed = await stream.take(3)
        await charges(api, 1)
        missed.append(await stream.next())
    assert [event.id for event in missed] == ["5", "6", "7", "8"]
    await told_as_read(api, missed)
    async with listening(api, "/accounts/ann/stream", after="0") as stream:
        assert [event.id for event in await stream.take(8)] == [str(number) for number in range(1, 9)]
    async with listening(api, "/accounts/ann/stream", after="8") as stream:
        await charges(api, 1)
        assert (await stream.next()).id == "9"
    # A version that never was is of another log: then only what is counts.
    async with listening(api, "/accounts/ann/stream", after="99") as stream:
        assert (await stream.next()).id == "9"


@pytest.mark.parametrize("limit", ["stream_resume_max", "stream_fold_max"])
async def test_who_missed_too_much_is_told_the_present(api: Api, limit: str) -> None:
    await api.grant("ann", "100")
    await charges(api, 6)
    api.app.state.core.settings.__dict__[limit] = 3
    async with listening(api, "/accounts/ann/stream", after="2") as stream:
        assert (await stream.next()).id == "8"


async def test_an_account_stream_is_of_one_asset_and_service(api: Api) -> None:
    await admin(api).put("/config", {"assets": {"coins": {"scale": 2, "default": True}, "gems": {"scale": 0}}})
    await api.grant("ann", "1", asset="gems")
    await api.grant("ann", "1", scope=["video"])
    async with (
        listening(api, "/accounts/ann/stream", asset="gems") as gems,
        listening(api, "/accounts/ann/stream", service="video") as video,
    ):
        assert (await gems.next()).data["asset"] == "gems"
        assert (await video.next()).data["available"] == "1.00"
        await api.grant("ann", "2", asset="gems")
        await api.grant("ann", "2", scope=["video"])
        assert (await gems.next()).data["available"] == "3"
        event = await video.next()
        assert event.data["available"] == "3.00"
        await told_as_read(api, [event], service="video")


async def test_what_time_brings_is_told(api: Api) -> None:
    lab = api.as_("admin", app="lab")
    await lab.put("/config", {"assets": {"coins": {"scale": 0}}, "test_mode": {"clock_start": "2030-01-01T00:00:00Z"}})
    await lab.grant("ann", "10", expires_at="2030-01-02T00:00:00Z")
    async with listening(lab, "/accounts/ann/stream") as stream:
        await stream.next()
        await lab.put("/test-clock", {"now": "2030-01-03T00:00:00Z"})
        event = await stream.next()
    assert (event.data["settled"], event.data["time"]) == ("0", "2030-01-03T00:00:00.000000Z")


async def test_events_of_an_app_as_they_lie_in_the_log(api: Api) -> None:
    other = api.as_("admin", app="other")
    await other.put("/config", DOCUMENT)
    async with listening(admin(api), "/stream") as stream:
        await stream.until_resumable()
    async with listening(admin(api), "/stream", after=stream.last_id) as stream:
        for user in ("ann", "ben", "cid", "dee"):
            await api.grant(user, "5", description="a secret")
            await other.grant(user, "5")
            await charges(api, 1, user)
        events = await stream.take(12)
    listed = (await admin(api).get("/events", limit=12))["data"]
    assert sorted(event.data["id"] for event in events) == sorted(event["id"] for event in listed)
    for event in events:
        assert event.name == event.data["type"]
        assert event.data in listed
        assert "secret" not in str(event.data)


async def test_an_app_stream_goes_on_exactly_behind_every_event(api: Api) -> None:
    users = ["ann", "ben", "cid", "dee", "eve"]
    async with listening(admin(api), "/stream", after="0") as stream:
        await asyncio.gather(*(api.grant(user, "5") for user in users))
        await asyncio.gather(*(charges(api, 2, user) for user in users))
        events = await stream.take(1 + 4 * len(users))
    whole = [event.data["id"] for event in events]
    assert len(set(whole)) == len(whole)
    places: dict[int, int] = {}
    for event in events:
        assert event.data["position"] > places.get(event.data["partition"], 0)
        places[event.data["partition"]] = event.data["position"]
    for number, event in enumerate(events[:-1]):
        async with listening(admin(api), "/stream", after=event.id) as stream:
            rest = await stream.take(len(events) - number - 1)
        assert {each.data["id"] for each in rest} == set(whole[number + 1 :])


async def test_a_reader_who_is_slow_misses_nothing(api: Api) -> None:
    """More comes than waits for it in memory: it gets the rest from the log."""
    await api.grant("ann", "1000")
    api.app.state.streams._limits.queue_max = 3
    async with (
        listening(admin(api), "/stream") as events,
        listening(api, "/accounts/ann/stream") as account,
    ):
        await events.until_resumable()
        assert (await account.next()).id == "2"
        # Commands of one batch are told at once: more than the queue takes.
        await asyncio.gather(*(api.post("/charges", {"user": "ann", "amount": "1"}) for _ in range(60)))
        assert [event.id for event in await account.take(60)] == [str(number) for number in range(3, 63)]
    async with listening(admin(api), "/stream", after=events.last_id) as stream:
        told = await stream.take(60)
    assert [event.data["account_version"] for event in told] == list(range(3, 63))


async def test_every_process_tells_what_another_writes(database_from: DatabaseFrom, tmp_path: Path) -> None:
    async def two_shards(database: Database) -> None:
        await prepare_ledger(database, ("a", "b"))

    books = await database_from("ledger-streams-shards", two_shards)
    async with (
        served(books, tmp_path, stream_life_s=LONG_S, shard="a") as first,
        served(books, tmp_path, stream_life_s=LONG_S, shard="b") as second,
    ):
        await until_ready(first.http)
        await until_ready(second.http)
        await first.as_("admin").put("/config", DOCUMENT)
        for user in ("ann", "ben", "cid"):
            await first.grant(user, "5")
            for api in (first, second):
                async with listening(api, f"/accounts/{user}/stream") as stream:
                    await stream.next()
                    await charges(second, 1, user)
                    event = await stream.next()
                    await told_as_read(api, [event], user)


async def test_a_stream_ends_with_its_token(books: Database, tmp_path: Path) -> None:
    async with opened(books, tmp_path, stream_life_s=LONG_S, stream_keep_alive_s=0.1) as api:
        await api.grant("ann", "5")
        async with listening(api, "/accounts/ann/stream") as stream:
            await stream.next()
            authenticator = api.app.state.authenticator
            authenticator._cache = type(authenticator._cache)(
                {key: (principal, 0) for key, (principal, _) in authenticator._cache.items()}
            )
            await charges(api.as_("service", "another"), 1)
            last = await stream.next()
            assert (last.name, last.id) == ("token_expired", None)
            with pytest.raises(StopAsyncIteration):
                await anext(stream.events)
        assert not api.app.state.streams._open


async def test_signs_of_life_and_the_end_of_a_streams_time(books: Database, tmp_path: Path) -> None:
    async with opened(books, tmp_path, stream_life_s=0.5, stream_keep_alive_s=0.05, stream_retry_ms=7) as api:
        await api.grant("ann", "5")
        async with listening(api, "/accounts/ann/stream") as stream:
            await stream.next()
            assert (await stream.next()).name == "reconnect"
        assert stream.comments > 1
        assert stream.retry_ms == 7


async def test_streams_end_when_the_process_does(books: Database, tmp_path: Path) -> None:
    async with opened(books, tmp_path, stream_life_s=LONG_S) as api:
        await api.grant("ann", "5")
        async with listening(api, "/accounts/ann/stream") as stream, listening(admin(api), "/stream") as events:
            await stream.next()
            api.app.state.server.should_exit = True
            assert (await stream.next()).name == "closing"
            assert (await events.next()).name == "closing"


async def test_so_many_streams_and_no_more(books: Database, tmp_path: Path) -> None:
    limits = {"stream_listeners_max": 3, "stream_per_user_max": 2}
    async with opened(books, tmp_path, stream_life_s=LONG_S, **limits) as api:
        await api.grant("ann", "5")
        ann, path = api.as_("user", "ann"), "/accounts/ann/stream"
        async with listening(ann, path) as one, listening(ann, path) as two:
            await one.next()
            await two.next()
            refused = await ann.get(path, status=429)
            assert refused["code"] == "too_many_streams"
            async with listening(api, path) as three:
                await three.next()
                assert (await api.send("GET", path)).headers["retry-after"] == "5"

        async def all_left() -> bool:
            return not api.app.state.streams._open and not api.app.state.streams._owners

        await eventually(all_left)
        async with listening(ann, path) as one:
            await one.next()


async def test_a_log_that_was_put_back_ends_its_streams(api: Api) -> None:
    await api.grant("ann", "5")
    async with listening(api, "/accounts/ann/stream") as stream:
        await stream.next()
        streams = api.app.state.streams
        streams._places = {number: place + 1 for number, place in streams._places.items()}
        assert (await stream.next()).name == "log_restarted"


async def test_a_database_that_is_away_is_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.grant("ann", "5")
    async with listening(api, "/accounts/ann/stream") as stream:
        await stream.next()
        failures = 0

        async def fails(_pool: object) -> dict[int, int]:
            nonlocal failures
            failures += 1
            raise ConnectionResetError

        with monkeypatch.context() as patched:
            patched.setattr("services.ledger.streams.heads.positions", fails)
            await charges(api, 1)

            async def failed() -> bool:
                return failures > 0

            await eventually(failed)
        assert (await stream.next()).data["settled"] == "4.00"


@pytest.mark.parametrize(
    ("path", "after"),
    [
        ("/accounts/ann/stream", "nonsense"),
        ("/accounts/ann/stream", "-1"),
        ("/accounts/ann/stream", "9" * 19),
        ("/stream", "nonsense"),
        ("/stream", "eyJuZXh0IjoiISJ9"),
        ("/stream", "eyJiZWZvcmUiOiIwMCJ9"),
    ],
)
async def test_ids_that_no_stream_told(api: Api, path: str, after: str) -> None:
    await api.grant("ann", "1")
    answer = await admin(api).send("GET", path, headers={"Last-Event-ID": after})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_cursor")


async def test_a_place_that_the_log_has_not_come_to(api: Api) -> None:
    async with listening(admin(api), "/stream", after="0") as stream:
        event = await stream.next()
    from services.ledger.api.places import cursor_behind, places_behind

    places = places_behind(str(event.id), 4)
    places[0] += 1000
    answer = await admin(api).send("GET", "/stream", headers={"Last-Event-ID": cursor_behind(places)})
    assert answer.json()["errors"][0]["code"] == "invalid_cursor"


async def test_accounts_that_are_not_there(api: Api) -> None:
    await api.get("/accounts/nobody/stream", status=404)
    await api.get("/accounts/ann/stream", status=404, asset="gems")
    await api.get("/accounts/ann/stream", status=400, colour="red")
    await api.get("/stream", status=403)
    with pytest.raises(httpx.HTTPStatusError):
        (await admin(api).send("GET", "/stream", params={"type": "x"})).raise_for_status()


async def test_nobody_listens_nothing_is_asked(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "1")
        streams = api.app.state.streams
        assert not streams._places
