"""What is no command for its partition: kept, counted, told where its id can be read, and decided again on request."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from libs.events.contracts.ledger import commands as c
from libs.events.dead_letters import list_dead_letters, request_replay
from libs.events.envelope import Headers, Heartbeat, heartbeat_headers, to_headers
from libs.events.partition import partition_of
from libs.service.db import connect
from services.ledger.tests.kafka.world import SOURCES, World, without
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.verify.run import verify
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

GRANT = c.GrantCredits(user="ann", amount="1")
HOME = partition_of(APP, "ann", PARTITIONS)


def replaced(headers: Headers, name: str, text: bytes) -> Headers:
    """The headers with another value for one."""
    return [(each, text if each == name else old) for each, old in headers]


async def test_what_cannot_be_read_is_kept_and_told(world: World, ledger: Ledger) -> None:
    good = world.command(GRANT, "ann")
    headers, key = to_headers(good), good.key
    away = (HOME + 1) % PARTITIONS
    beat = heartbeat_headers(Heartbeat("anything", "stream", 5, good.time_us))
    cases: list[tuple[int, bytes | None, Headers, bytes, str, bool]] = [
        (HOME, key, [], b"not json", "missing_attribute", False),
        (HOME, None, [("", b"")], b"\x00\xff\x1f\x1e", "missing_attribute", False),
        (HOME, key, without(good, "ce_id"), good.data, "missing_attribute", False),
        (HOME, key, without(good, "ce_source"), good.data, "missing_attribute", True),
        (HOME, key, without(good, "ce_app"), good.data, "missing_attribute", False),
        (HOME, key, without(good, "ce_subject"), good.data, "missing_attribute", True),
        (HOME, key, without(good, "ce_type"), good.data, "missing_attribute", True),
        (HOME, key, replaced(headers, "content-type", b"text/plain"), good.data, "invalid_content_type", True),
        (HOME, key, replaced(headers, "ce_specversion", b"0.3"), good.data, "invalid_attribute", True),
        (HOME, key, replaced(headers, "ce_source", b"/elsewhere/x"), good.data, "invalid_source", True),
        (HOME, key, replaced(headers, "ce_time", b"yesterday"), good.data, "invalid_attribute", True),
        (HOME, key, replaced(headers, "ce_subject", b"a\x1fnn"), good.data, "invalid_attribute", True),
        (HOME, key, replaced(headers, "ce_actor", b"a\x00\x1e"), good.data, "invalid_attribute", True),
        (HOME, key, replaced(headers, "ce_idempotencykey", b"\xff"), good.data, "invalid_attribute", True),
        (HOME, key, replaced(headers, "ce_type", b"x\x1f" * 500), good.data, "invalid_attribute", True),
        (away, key, headers, good.data, "misrouted", True),
        (HOME, b"another key", headers, good.data, "misrouted", True),
        (HOME, None, headers, good.data, "misrouted", True),
        (HOME, None, beat, b"{}", "heartbeat", False),
    ]
    ids: list[str] = []
    for partition, each_key, each_headers, value, _, _ in cases:
        command_id = world.command(GRANT, "ann").id
        ids.append(command_id)
        await world.put(partition, each_key, replaced(each_headers, "ce_id", command_id.encode()), value)
    for partition in (HOME, away):
        await world.passed(ledger, partition)

    found = {row.seq or row.id: row for row in await list_dead_letters(ledger.pool, consumer="ledger")}
    reasons = sorted(row.reason for row in found.values())
    assert reasons == sorted(reason for *_, reason, _ in cases)
    for command_id, (*_, reason, told) in zip(ids, cases, strict=True):
        events = await world.told(ledger, command_id)
        refusals = [(event.kind, event.payload["code"], event.payload["status"]) for event in events]
        assert refusals == ([("command_refused", reason, 400)] if told else []), (reason, refusals)
    assert await ledger.pool.fetchval("SELECT count(*) FROM accounts") == 0
    elsewhere = sum(row.source not in SOURCES for row in found.values())
    assert elsewhere == 5, "two without headers, one without a source, one from elsewhere, a heartbeat"
    await eventually(lambda: _counted("anything", len(cases) - elsewhere), "the metric")
    await eventually(lambda: _counted("@unknown", elsewhere), "the metric")
    # Whoever comes after is served.
    assert (await world.done(ledger, GRANT, "ann")).kind == "credits_granted"
    assert (await verify(ledger.dsn)).violations == []


async def _counted(source: str, number: int) -> bool:
    """Whether the metric of open dead letters says so."""
    return REGISTRY.get_sample_value("dead_letters_open", {"source": source}) == number


async def test_what_lay_in_the_wrong_place_is_decided_once_when_asked_for(world: World, ledger: Ledger) -> None:
    away = (HOME + 1) % PARTITIONS
    lost = world.command(GRANT, "ann")
    await world.put(away, lost.key, to_headers(lost), lost.data)
    refused = await world.outcome(ledger, lost.id)
    assert (refused.kind, refused.payload["code"]) == ("command_refused", "misrouted")
    (letter,) = await list_dead_letters(ledger.pool)
    assert await request_replay(ledger.pool, letter.id)
    await eventually(lambda: _replayed(ledger, letter.id), "the replay")
    await eventually(lambda: _counted("anything", 0), "the metric")
    assert not await request_replay(ledger.pool, letter.id)
    # Its sender sends it again, to the right place this time; it has been done.
    await world.publish(lost)
    await world.passed(ledger, HOME)
    kinds = sorted(told.kind for told in await world.told(ledger, lost.id))
    assert kinds == ["account_opened", "command_refused", "credits_granted"]
    assert await world.balances(ledger, "ann") == (100, 0, 0)


async def test_what_was_mended_is_decided_and_what_was_not_says_why(world: World, ledger: Ledger) -> None:
    mended, hopeless = world.command(GRANT, "ann"), world.command(GRANT, "ann")
    broken = replaced(to_headers(mended), "content-type", b"text/plain")
    await world.put(HOME, mended.key, broken, mended.data)
    await world.put(HOME, hopeless.key, without(hopeless, "ce_source"), hopeless.data)
    await world.passed(ledger, HOME)
    first, second = await list_dead_letters(ledger.pool)
    # Whoever mends it puts the message as it should have been in its place.
    record: dict[str, Any] = orjson.loads(first.message)
    record["headers"][0][1] = "YXBwbGljYXRpb24vanNvbg=="
    await ledger.pool.execute("UPDATE dead_letters SET message = $2 WHERE id = $1", first.id, orjson.dumps(record))
    assert await request_replay(ledger.pool, first.id)
    assert await request_replay(ledger.pool, second.id)
    await eventually(lambda: _replayed(ledger, first.id), "the replay")
    assert [told.kind for told in await world.told(ledger, mended.id) if told.user == "ann"] == [
        "account_opened",
        "credits_granted",
    ]
    await eventually(lambda: _given_up(ledger, second.id), "the second replay")
    (still,) = await list_dead_letters(ledger.pool)
    assert (still.id, still.replayed_at) == (second.id, None)
    assert "ce_source" in still.detail
    assert await world.balances(ledger, "ann") == (100, 0, 0)


async def test_a_command_that_the_ledger_fails_at_is_set_aside_until_it_is_mended(world: World, ledger: Ledger) -> None:
    owner = await connect(world.books.owner_dsn, application_name="fault")
    try:
        await owner.execute("ALTER TABLE events ADD CONSTRAINT fault CHECK (reference <> 'bad')")
        bad = world.command(c.GrantCredits(user="ann", amount="5", reference="bad"), "ann")
        good = [world.command(GRANT, "ann") for _ in range(3)]
        await world.publish(good[0], bad, *good[1:])
        await world.passed(ledger, HOME)
        for one in good:
            assert (await world.told(ledger, one.id))[-1].kind == "credits_granted"
        assert await world.told(ledger, bad.id) == []
        (letter,) = await list_dead_letters(ledger.pool)
        assert (letter.reason, letter.message_id, letter.source) == ("not_decided", bad.id, "anything")

        await request_replay(ledger.pool, letter.id)
        await eventually(lambda: _given_up(ledger, letter.id), "a replay in vain")
        assert await world.told(ledger, bad.id) == []
        await owner.execute("ALTER TABLE events DROP CONSTRAINT fault")
        await request_replay(ledger.pool, letter.id)
        await eventually(lambda: _replayed(ledger, letter.id), "the replay")
    finally:
        await owner.close()
    assert [told.kind for told in await world.told(ledger, bad.id)] == ["credits_granted"]
    assert await world.balances(ledger, "ann") == (800, 0, 0)


async def _given_up(ledger: Ledger, letter: int) -> bool:
    query = "SELECT replay_requested_at IS NULL FROM dead_letters WHERE id = $1"
    return bool(await ledger.pool.fetchval(query, letter))


async def _replayed(ledger: Ledger, letter: int) -> bool:
    return bool(await ledger.pool.fetchval("SELECT replayed_at IS NOT NULL FROM dead_letters WHERE id = $1", letter))


async def test_whatever_comes_is_answered_or_kept(world: World, ledger: Ledger) -> None:
    """Records made of noise: each is a dead letter or has an outcome, and the commands between them are done."""
    chance = random.Random(7)  # noqa: S311
    sent = []
    noise = 0
    for number in range(120):
        envelope = world.command(GRANT, "ann")
        if number % 3 == 0:
            sent.append(envelope.id)
            await world.publish(envelope)
            continue
        headers = [(name, _bent(chance, text)) for name, text in to_headers(envelope) if chance.random() > 0.1]
        noise += 1
        await world.put(HOME, _bent(chance, envelope.key), headers, _bent(chance, envelope.data))
    await world.passed(ledger, HOME)
    for command_id in sent:
        assert (await world.told(ledger, command_id))[-1].kind == "credits_granted"
    told = await world.told(ledger)
    outcomes = {event.transaction for event in told if event.key or event.kind == "command_refused"}
    assert len(outcomes) + len(await list_dead_letters(ledger.pool, limit=1000)) >= noise + len(sent)
    assert (await verify(ledger.dsn)).violations == []


def _bent(chance: Any, text: bytes) -> bytes:
    """The bytes, mostly as they were, with some of them changed, lost or added."""
    if chance.random() > 0.15:
        return text
    place = chance.randrange(len(text) + 1)
    junk = bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 3, 40])))
    return text[:place] + junk + text[place + chance.choice([0, 1, 5]) :]
