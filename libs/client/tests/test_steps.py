"""Back-off, leases and values as pure rules, over many inputs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tallystick import ConnectionFailed, Forbidden, Hold, Retry, TallystickError, __version__
from tallystick._lease import Lease
from tallystick._request import Reply, Request
from tallystick._steps import Conduct, Send, Sleep, converse
from tallystick.values import amount_text, path, time_of, time_text

STATUSES = st.sampled_from([200, 201, 400, 401, 402, 409, 429, 500, 502, 503, 504, None])


def held(ttl_s: float) -> Hold:
    start, zero = datetime(2026, 1, 1, tzinfo=UTC), Decimal(0)
    return Hold(
        id="hold_1",
        settled=zero,
        held=zero,
        owed=zero,
        available=zero,
        position=1,
        partition=0,
        captured=zero,
        created_at=start,
        expires_at=start + timedelta(seconds=ttl_s),
    )


@settings(deadline=None)
@given(
    st.lists(STATUSES, min_size=20, max_size=20),
    st.integers(1, 8),
    st.floats(0.1, 60),
    st.floats(0, 10),
    st.floats(0, 20) | st.none(),
)
def test_however_the_peer_behaves_attempts_and_time_are_bound_and_only_what_may_be_is_tried_again(
    peer: list[int | None], attempts: int, total_s: float, answer_s: float, retry_after_s: float | None
) -> None:
    now, sent, keys = 0.0, 0, set()
    conduct = Conduct(
        Retry(attempts, total_s), timeout_s=5.0, renewable=False, clock=lambda: now, uniform=lambda low, high: high
    )
    request: Request[Reply] = Request("POST", "/v1/charges", lambda reply: reply, json={}, key="k")
    steps = converse(request, conduct)
    headers: Mapping[str, Any] = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    outcome: httpx.Response | httpx.RequestError | None = None
    try:
        while True:
            step = steps.send(outcome)
            outcome = None
            if isinstance(step, Sleep):
                now += step.seconds
                if retry_after_s is not None and peer[sent - 1] is not None:
                    assert step.seconds >= retry_after_s
            elif isinstance(step, Send):
                if sent:
                    assert peer[sent - 1] in {429, 502, 503, 504, None}
                keys.add(step.request.key)
                assert step.timeout_s <= max(total_s - now, 0.001)
                now += min(answer_s, step.timeout_s)
                status = peer[sent]
                sent += 1
                outcome = (
                    httpx.ReadTimeout("late")
                    if status is None
                    else httpx.Response(status, json={}, headers=headers, request=httpx.Request("POST", "http://x"))
                )
    except StopIteration:
        assert peer[sent - 1] in {200, 201}
    except TallystickError as error:
        assert error.idempotency_key == "k"
    assert keys == {"k"}
    assert sent <= attempts
    assert now <= total_s + 0.002


def test_an_address_that_cannot_be_spoken_to_is_not_tried_again() -> None:
    steps = converse(Request("GET", "/v1/x", lambda reply: reply), Conduct(Retry(), 1.0, renewable=False))
    next(steps)
    with pytest.raises(ConnectionFailed):
        steps.send(httpx.UnsupportedProtocol("ftp"))


@settings(deadline=None)
@given(st.floats(1, 1e6), st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_lease_is_renewed_in_time_and_lost_only_when_its_time_is_over(ttl_s: float, reached: list[bool]) -> None:
    now = 100.0
    lease = Lease(held(ttl_s), None, now)
    renewed_at, ends = now, held(ttl_s)
    for ok in reached:
        pause_s = lease.pause_s(now)
        if pause_s is None:
            break
        now += pause_s
        assert now < renewed_at + ttl_s
        if ok:
            assert ends.expires_at is not None
            ends = held((ends.expires_at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds() + 1)
            lease.extended(ends, now)
            renewed_at = now
        else:
            lease.failed(ConnectionFailed("no route"), now)
        assert not lease.lost
    lease.failed(ConnectionFailed("no route"), renewed_at + ttl_s + 1)
    assert lease.lost


def test_at_its_maximum_a_hold_is_let_run_out() -> None:
    lease = Lease(held(60), None, 0.0)
    lease.extended(held(60), 30.0)
    assert (lease.lost, lease.pause_s(30.0)) == (False, None)


def test_a_refused_extension_loses_the_hold_unless_it_had_ended_well() -> None:
    lease = Lease(held(60), None, 0.0)
    lease.failed(Forbidden("no"), 1.0)
    assert (lease.lost, lease.pause_s(1.0)) == (True, None)
    ended = Lease(held(60), None, 0.0)
    ended.end()
    ended.failed(Forbidden("no"), 1.0)
    assert (ended.lost, ended.pause_s(1.0)) == (False, None)


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_an_amount_keeps_its_value_without_an_exponent(amount: Decimal) -> None:
    text = amount_text(amount)
    assert "E" not in text.upper()
    assert Decimal(text) == amount


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_number_is_refused(amount: Decimal) -> None:
    with pytest.raises(ValueError, match="finite"):
        amount_text(amount)


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-14, 14))  # noqa: DTZ001
def test_a_time_is_the_same_moment_on_the_other_side(moment: datetime, hours: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert time_text(aware).endswith("Z")
    assert time_of(time_text(aware)) == aware


@settings(deadline=None)
@given(st.text(alphabet="abcXYZ019._:-/?# %", min_size=1, max_size=128))
def test_no_id_leaves_its_place_in_the_path(user: str) -> None:
    url = httpx.Request("GET", "http://ledger" + path("accounts", user, "state")).url
    assert url.raw_path.count(b"/") == 4
    assert url.path == f"/v1/accounts/{user}/state"
    assert not url.query


def test_the_project_file_has_the_same_version(pytestconfig: pytest.Config) -> None:
    project = (pytestconfig.rootpath / "libs" / "client" / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in project
