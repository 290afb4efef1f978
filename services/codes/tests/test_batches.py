"""Batches: made in chunks, exported once, voided at once."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from libs.events import failpoints
from services.codes.domain.texts import is_well_formed
from services.codes.handlers import batches
from services.codes.store.batches import lock_batch
from services.codes.store.codes import by_digest
from services.codes.tests.office import APP, Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio

TERMS = {"kind": "recharge", "name": "Gift card", "amount": "25", "ends_at": "2027-01-01T00:00:00Z"}
CHUNK = 7
LINK = "https://t.me/kernel_bot?start={code}"


@pytest.fixture
async def manager(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """A manager of an app whose batches are made in small chunks."""
    async with office(await database_from("codes", prepare_codes), tmp_path, batch_chunk=CHUNK) as made:
        answer = await made.as_("admin").send("PUT", "/config", {"codes": {"link": LINK}})
        assert answer.status_code == 200, answer.text
        yield made


async def made_batch(manager: Office, count: int, **fields: Any) -> str:
    """The id of a batch that is ready."""
    batch = await manager.post("/batches", {**TERMS, "count": count, **fields})
    await manager.work()
    batch_id: str = batch["id"]
    return batch_id


async def exported(manager: Office, batch_id: str) -> list[dict[str, str]]:
    """The lines of the one export."""
    answer = await manager.send("GET", f"/batches/{batch_id}/export?format=csv")
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_a_batch_is_made_chunk_by_chunk_and_says_how_far_it_is(manager: Office) -> None:
    answer = await manager.send("POST", "/batches", {**TERMS, "count": 20, "prefix": "NEW"})
    batch = answer.json()
    assert (answer.status_code, batch["status"], batch["made"]) == (202, "making", 0)
    assert answer.headers["location"] == f"/v1/batches/{batch['id']}"
    seen = []
    for _ in range(3):
        await batches.work_on(manager.core, batch["id"])
        batch = await manager.get(f"/batches/{batch['id']}")
        seen.append((batch["made"], batch["status"]))
    assert seen == [(7, "making"), (14, "making"), (20, "ready")]
    assert batch["progress"] == 1.0
    told = await manager.core.pool.fetch("SELECT data FROM outbox WHERE type = 'codes.batch_ready.v1'")
    assert len(told) == 1


async def test_every_exported_text_is_a_code_of_the_batch_with_its_terms(manager: Office) -> None:
    batch_id = await made_batch(manager, 20, prefix="NEW")
    rows = await exported(manager, batch_id)
    assert len({row["code"] for row in rows}) == 20
    for row in rows:
        assert is_well_formed(row["code"])
        assert row["link"] == LINK.replace("{code}", row["code"].replace("-", ""))
        code = await by_digest(manager.core.pool, APP, manager.core.digest(APP, row["code"]))
        assert code is not None
        assert (code.id, code.batch_id, code.text, code.last4) == (row["id"], batch_id, None, row["code"][-4:])
        assert (code.max_uses, code.per_user_limit, code.name) == (1, 1, "Gift card")
    listed = await manager.get(f"/codes?batch={batch_id}&limit=50")
    assert {code["id"] for code in listed["data"]} == {row["id"] for row in rows}


async def test_an_export_works_once_and_then_nothing_can_make_the_texts_again(manager: Office) -> None:
    batch_id = await made_batch(manager, 3)
    assert await manager.core.pool.fetchval("SELECT seed FROM batches") is not None
    rows = await exported(manager, batch_id)
    for kind in ("csv", "jsonl", "pdf"):
        status, code, _ = await manager.refused("GET", f"/batches/{batch_id}/export?format={kind}")
        assert (status, code) == (409, "already_exported")
    assert await manager.core.pool.fetchval("SELECT seed FROM batches") is None
    dump = await manager.core.pool.fetch("SELECT t::text AS row FROM codes t UNION ALL SELECT t::text FROM batches t")
    for row in rows:
        plain = row["code"].replace("-", "")
        assert not any(form in line["row"] for line in dump for form in (plain, row["code"], plain.encode().hex()))


async def test_only_a_batch_that_is_ready_is_exported(manager: Office) -> None:
    batch = await manager.post("/batches", {**TERMS, "count": 8})
    await batches.work_on(manager.core, batch["id"])
    status, code, problem = await manager.refused("GET", f"/batches/{batch['id']}/export")
    assert (status, code, problem["detail"]) == (409, "batch_not_ready", "7 of 8 codes are made.")
    await manager.post(f"/batches/{batch['id']}/void")
    status, code, _ = await manager.refused("GET", f"/batches/{batch['id']}/export")
    assert (status, code) == (409, "batch_void")
    status, code, _ = await manager.refused("GET", "/batches/batch_none/export")
    assert (status, code) == (404, "batch_not_found")


async def test_a_chunk_that_dies_anywhere_leaves_no_code_twice_and_none_missing(manager: Office) -> None:
    batch = await manager.post("/batches", {**TERMS, "count": 20})
    for place in ("batch.locked", "batch.chunk"):
        for _ in range(2):
            failpoints.arm(f"{place}=raise@1")
            with pytest.raises(failpoints.FailpointError):
                await batches.work_on(manager.core, batch["id"])
            failpoints.arm("")
            await batches.work_on(manager.core, batch["id"])
    await manager.work()
    rows = await exported(manager, batch["id"])
    assert len({row["code"] for row in rows}) == 20
    indexes = await manager.core.pool.fetch("SELECT batch_index FROM codes ORDER BY 1")
    assert [row["batch_index"] for row in indexes] == list(range(20))


async def test_a_text_that_is_taken_is_passed_over_and_another_made(manager: Office) -> None:
    batch = await manager.post("/batches", {**TERMS, "count": 10})
    async with manager.core.pool.acquire() as connection, connection.transaction():
        found, seed = await lock_batch(connection, batch["id"])
    assert seed is not None
    texts = batches.texts_of(manager.core, found, seed)
    taken = texts(3)
    await manager.post("/codes", {"code": taken, "amount": "1"})
    await manager.work()
    rows = await exported(manager, found.id)
    assert len({row["code"] for row in rows}) == 10
    assert taken not in {row["code"] for row in rows}
    assert [row["code"] for row in rows] == [texts(index) for index in range(11) if index != 3]


async def test_a_void_batch_is_refused_at_once_and_its_codes_follow(manager: Office) -> None:
    batch_id = await made_batch(manager, 20)
    rows = await exported(manager, batch_id)
    assert (await manager.post(f"/batches/{batch_id}/void"))["status"] == "void"
    code = await by_digest(manager.core.pool, APP, manager.core.digest(APP, rows[0]["code"]))
    assert code is not None
    assert code.status == "void"
    assert (await manager.get(f"/codes/{rows[5]['id']}"))["status"] == "void"
    assert (await manager.get("/codes?status=void&limit=50"))["data"]
    assert await manager.core.pool.fetchval("SELECT count(*) FROM codes WHERE status = 'void'") == 0
    await manager.work()
    assert await manager.core.pool.fetchval("SELECT count(*) FROM codes WHERE status = 'void'") == 20
    assert (await manager.post(f"/batches/{batch_id}/void"))["status"] == "void"


async def test_a_batch_that_is_voided_while_it_is_made_stops(manager: Office) -> None:
    batch = await manager.post("/batches", {**TERMS, "count": 20})
    await batches.work_on(manager.core, batch["id"])
    await manager.post(f"/batches/{batch['id']}/void")
    await manager.work()
    assert await manager.core.pool.fetchval("SELECT count(*) FROM codes WHERE status = 'void'") == CHUNK
    assert (await manager.get(f"/batches/{batch['id']}"))["made"] == CHUNK


async def test_a_voided_code_is_left_out_of_the_export(manager: Office) -> None:
    batch_id = await made_batch(manager, 3)
    gone = (await manager.get(f"/codes?batch={batch_id}"))["data"][0]["id"]
    await manager.post(f"/codes/{gone}/void")
    assert gone not in {row["id"] for row in await exported(manager, batch_id)}


async def test_a_sheet_is_an_export_too_and_costs_nothing_when_it_cannot_be_made(manager: Office) -> None:
    batch_id = await made_batch(manager, 12, name="Welcome \U0001378f")
    status, code, problem = await manager.refused("GET", f"/batches/{batch_id}/export?format=pdf")
    assert (status, code) == (409, "glyph_missing")
    assert "\U0001378f" in problem["detail"]
    again = await made_batch(manager, 12)
    sheet = await manager.send("GET", f"/batches/{again}/export?format=pdf&lang=ru")
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "application/pdf")
    with pypdfium2.PdfDocument(sheet.content) as document:
        said = "\n".join(page.get_textpage().get_text_range() for page in document)
    codes = await manager.get(f"/codes?batch={again}")
    assert all(code["last4"] in said for code in codes["data"])
    assert "Gift card" in said
    status, code, _ = await manager.refused("GET", f"/batches/{again}/export?format=csv")
    assert (status, code) == (409, "already_exported")
    assert len(await exported(manager, batch_id)) == 12


async def test_a_sheet_of_too_many_codes_is_refused(database_from: DatabaseFrom, tmp_path: Path) -> None:
    async with office(await database_from("codes", prepare_codes), tmp_path, sheet_codes_max=5) as manager:
        batch_id = await made_batch(manager, 6)
        status, code, _ = await manager.refused("GET", f"/batches/{batch_id}/export?format=pdf")
        assert (status, code) == (409, "sheet_too_large")
        assert len(await exported(manager, batch_id)) == 6


async def test_what_cannot_be_a_batch_is_refused_by_name(manager: Office) -> None:
    for body, fault in (
        ({**TERMS, "count": 0}, "out_of_range"),
        ({**TERMS, "count": 1_000_001}, "out_of_range"),
        (TERMS, "missing_field"),
        ({**TERMS, "count": 1, "code": "CHOSEN"}, "unknown_field"),
        ({"count": 1}, "nothing_given"),
        ({**TERMS, "count": 1, "prefix": "OIL"}, "look_alike"),
    ):
        status, code, problem = await manager.refused("POST", "/batches", body)
        assert (status, code) == (400, "invalid_request")
        assert fault in [each["code"] for each in problem["errors"]], problem
    status, code, _ = await manager.refused("POST", "/batches", {**TERMS, "count": 1, "campaign": "campaign_none"})
    assert (status, code) == (404, "campaign_not_found")


async def test_batches_are_listed_the_newest_first(manager: Office) -> None:
    made = []
    for _ in range(3):
        manager.clock.advance(1)
        made.append((await manager.post("/batches", {**TERMS, "count": 1}))["id"])
    first = await manager.get("/batches?limit=2")
    assert [batch["id"] for batch in first["data"]] == [made[2], made[1]]
    rest = await manager.get(f"/batches?cursor={first['next_cursor']}")
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == ([made[0]], False)
