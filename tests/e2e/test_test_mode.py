"""Apps as files, and an app in test mode with a clock of its own: expiry, limits of holds, thresholds."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tallystick import AsyncClient, Conflict, FeatureDisabled, HoldResolved, InvalidRequest, Threshold

from libs.service.app_files import SERVICES
from tests.e2e.conftest import new_user
from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio

APPS = Path(__file__).parents[2] / "deploy" / "apps"
START = datetime(2026, 1, 31, 22, 0, tzinfo=UTC)
TRIAL = """
app: {app}
assets:
  credits: {{scale: 2}}
thresholds:
  - {{below: "10"}}
hold_limits: {{default_s: 3600, max_s: 7200}}
test_mode: {{clock_start: 2026-01-31T22:00:00Z}}
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """An app in test mode, its file, and an administrator's client of it."""

    suite: Suite
    app: str
    file: Path
    client: AsyncClient

    def forward(self, to: datetime) -> None:
        """Put the clock forward, as an operator does."""
        done = self.suite.tallystick("app", "clock", self.app, to.isoformat())
        assert done.returncode == 0, done.stderr


@pytest.fixture
async def trial(suite: Suite, tmp_path: Path) -> AsyncIterator[Trial]:
    """An app that nobody else uses."""
    app = f"trial-{secrets.token_hex(4)}"
    file = tmp_path / "trial.yaml"
    file.write_text(TRIAL.format(app=app))
    applied = suite.tallystick("app", "apply", file)
    assert applied.returncode == 0, applied.stderr
    async with suite.client(app, "admin") as client:
        yield Trial(suite, app, file, client)


def test_the_five_apps_are_applied_as_their_files_say(suite: Suite) -> None:
    files = sorted(APPS.glob("*.yaml"))
    assert [file.stem for file in files] == ["ai-credits", "coins", "kernel", "studio", "vpn"]
    planned = suite.tallystick("app", "plan", *files)
    assert planned.returncode == 0, planned.stderr
    told = sorted(line.partition(" is up to date at version ")[0] for line in planned.stdout.splitlines())
    assert told == sorted(f"{file.stem}: {service}" for file in files for service in SERVICES), planned.stdout


async def test_an_app_file_is_planned_then_applied_once(trial: Trial) -> None:
    trial.file.write_text(TRIAL.format(app=trial.app).replace('below: "10"', 'below: "25"'))
    first = await trial.client.get_config()
    planned = trial.suite.tallystick("app", "plan", trial.file)
    assert "thresholds" in planned.stdout
    assert "25" in planned.stdout
    assert (await trial.client.get_config()).version == first.version, "a plan changes nothing"
    for _ in range(2):
        assert trial.suite.tallystick("app", "apply", trial.file).returncode == 0
    assert first.version is not None
    assert (await trial.client.get_config()).version == first.version + 1, "applying it again makes no new version"


async def test_an_asset_s_scale_never_changes(trial: Trial) -> None:
    trial.file.write_text(TRIAL.format(app=trial.app).replace("scale: 2", "scale: 3"))
    refused = trial.suite.tallystick("app", "apply", trial.file)
    assert refused.returncode == 1
    assert "config_conflict" in refused.stderr


async def test_a_configuration_that_was_changed_meanwhile_is_not_overwritten(trial: Trial) -> None:
    mine = await trial.client.get_config()
    document = {**mine.config, "zone": "Africa/Cairo"}
    await trial.client.put_config(document, if_match=mine.etag)
    with pytest.raises(Conflict) as late:
        await trial.client.put_config({**mine.config, "zone": "Asia/Tokyo"}, if_match=mine.etag)
    assert late.value.status == 412
    assert (await trial.client.get_config()).config["zone"] == "Africa/Cairo"


async def test_credits_expire_by_the_app_s_own_clock(trial: Trial, user: str) -> None:
    client, midnight = trial.client, datetime(2026, 2, 1, tzinfo=UTC)
    assert await client.get_test_clock() == START
    grant = await client.grant(user, "30", expires_at=midnight, reason="promo")
    await client.grant(user, "5")
    await client.charge(user, "4")
    state = await client.state(user)
    assert state.available == 31
    assert state.next_expiry == midnight
    assert {lot.id: lot.remaining for lot in state.lots}[grant.id] == 26, "what expires first is spent first"

    trial.forward(midnight - timedelta(seconds=1))
    assert (await client.state(user)).available == 31
    trial.forward(midnight)
    assert (await client.state(user)).available == 5
    charge = await client.charge(user, "1")
    assert charge.available == 4
    expired = (await client.transactions(user, type="lot_expired")).data
    assert [(str(each.amount), each.time) for each in expired] == [("-26.00", midnight)]
    assert (await client.state(user, at=midnight - timedelta(seconds=1))).available == 31


async def test_a_hold_ends_by_its_limit_and_can_never_be_captured_after_it(trial: Trial, user: str) -> None:
    client = trial.client
    await client.grant(user, "10")
    hold = await client.create_hold(user, "8", ttl_s=60)
    assert hold.expires_at == START + timedelta(seconds=60)
    extended = await client.extend(hold.id, 120)
    assert extended.expires_at == START + timedelta(seconds=120)
    trial.forward(START + timedelta(seconds=120))
    with pytest.raises(HoldResolved) as ended:
        await client.capture(hold.id, "1")
    assert ended.value.hold["status"] == "expired"
    state = await client.state(user)
    assert amounts(state, "available", "held") == ["10.00", "0.00"]


async def test_a_hold_lasts_no_longer_than_the_app_allows(trial: Trial, user: str) -> None:
    await trial.client.grant(user, "10")
    with pytest.raises(InvalidRequest) as long:
        await trial.client.create_hold(user, "1", ttl_s=7201)
    assert long.value.errors[0]["code"] == "ttl_too_long"
    hold = await trial.client.create_hold(user, "1")
    assert hold.expires_at == START + timedelta(seconds=3600)


async def test_thresholds_are_told_once_and_again_after_they_were_armed_again(trial: Trial, user: str) -> None:
    client = trial.client
    await client.grant(user, "12")
    await client.put_thresholds(user, [Threshold(below=Decimal(3), rearm_at=Decimal(20))])
    for amount in ("2", "1", "1", "6"):  # 10, 9 (crosses 10), 8, 2 (crosses 3)
        await client.charge(user, amount)
    await client.grant(user, "8")  # 10: the app's is armed again, the account's own is not
    await client.charge(user, "9")  # 1: crosses 10 again, and 3 without being told
    events = [event async for event in client.every_event(user=user, type="threshold_crossed")]
    crossed = [event.payload for event in reversed(events) if event.payload is not None]
    assert [(each["threshold"], each["available"]) for each in crossed] == [
        ("10.00", "9.00"),
        ("3.00", "2.00"),
        ("10.00", "1.00"),
    ]
    assert crossed[2]["generation"] == crossed[0]["generation"] + 1


async def test_a_threshold_is_crossed_by_expiry_too(trial: Trial, user: str) -> None:
    end = START + timedelta(hours=1)
    await trial.client.grant(user, "12", expires_at=end)
    trial.forward(end)
    await trial.client.grant(user, "1")
    events = await trial.client.events(user=user, type="threshold_crossed")
    assert [(event.time, event.payload and event.payload["available"]) for event in events] == [(end, "0.00")]


async def test_the_clock_goes_forward_only_and_in_test_mode_only(trial: Trial) -> None:
    trial.forward(START + timedelta(days=1))
    back = trial.suite.tallystick("app", "clock", trial.app, START.isoformat())
    assert back.returncode == 1
    assert await trial.client.get_test_clock() == START + timedelta(days=1)
    assert trial.suite.tallystick("app", "clock", "coins", "2030-01-01T00:00:00Z").returncode == 1
    async with trial.suite.client("coins", "admin") as coins:
        with pytest.raises(FeatureDisabled):
            await coins.get_test_clock()


async def test_transfers_keep_the_terms_of_the_credits(trial: Trial, user: str) -> None:
    client, friend, end = trial.client, new_user(), START + timedelta(hours=1)
    await client.grant(user, "10", expires_at=end)
    transfer = await client.transfer(user, friend, "4", reason="gift")
    if transfer.pending:
        transfer = await client.wait(transfer.id)
    assert transfer.status == "completed"
    assert (await client.state(user)).available == 6
    theirs = await client.state(friend)
    assert theirs.available == 4
    assert theirs.next_expiry == end
    trial.forward(end)
    assert (await client.state(friend)).available == 0


async def test_a_transfer_that_is_refused_comes_back(trial: Trial, user: str) -> None:
    client, closed = trial.client, new_user()
    await client.grant(user, "10")
    await client.put_account(closed)
    await client.close_account(closed)
    with pytest.raises(Conflict) as refused:
        await client.transfer(user, closed, "4", idempotency_key="k1")
    assert refused.value.code == "account_closed"
    state = await client.state(user)
    assert amounts(state, "available", "held") == ["10.00", "0.00"]
    assert (await client.get_transfer(refused.value.problem["transfer"])).status == "returned"
