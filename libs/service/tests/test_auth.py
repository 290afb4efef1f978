"""Who is let in: every way that a token can be wrong has its answer."""

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from libs.service.auth import PEOPLE, ROLE_SCOPES, Authenticator
from libs.service.clock import ManualClock
from libs.service.keys import ensure_keys, generate_key, issue_token, newest_key, read_jwks, write_jwks
from libs.service.problems import Problem, ScopeMissing, TokenExpired, TokenInvalid, TokenMissing, WrongApp, WrongUser

Issue = Callable[..., str]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return ensure_keys(tmp_path / "keys", tmp_path / "jwks.json")


@pytest.fixture
def authenticator(key: Path, tmp_path: Path, clock: ManualClock) -> Authenticator:
    return Authenticator(tmp_path / "jwks.json", "ledger", clock)


@pytest.fixture
def issue(key: Path, clock: ManualClock) -> Issue:
    def make(**changes: Any) -> str:
        asked: dict[str, Any] = {
            "sub": "shop",
            "audience": "ledger",
            "role": "service",
            "scopes": ["ledger:read", "ledger:spend"],
            "app": "coins",
            "now_s": clock.now_us() // 1_000_000,
        }
        if "apps" in changes:
            del asked["app"]
        return "Bearer " + issue_token(key, **(asked | changes))

    return make


def forge(key: Path, clock: ManualClock, **changes: Any) -> str:
    """A token with claims that `issue_token` would not write; None takes a claim away."""
    now = clock.now_us() // 1_000_000
    claims: dict[str, Any] = {
        "iss": "tallystick",
        "aud": "ledger",
        "sub": "shop",
        "role": "service",
        "scopes": ["ledger:read"],
        "app": "coins",
        "iat": now,
        "exp": now + 60,
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    private = key.read_text()
    return "Bearer " + jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": key.stem})


def test_a_good_token_tells_who_asks(authenticator: Authenticator, issue: Issue) -> None:
    principal = authenticator.authenticate(issue())
    assert (principal.sub, principal.app, principal.role) == ("shop", "coins", "service")
    principal.require("ledger:spend")
    with pytest.raises(ScopeMissing) as refused:
        principal.require("ledger:grant")
    assert refused.value.extra == {"scope": "ledger:grant"}


def test_scopes_are_cut_to_what_the_role_may_have(authenticator: Authenticator, issue: Issue) -> None:
    asked = ["ledger:read", "ledger:grant", "ledger:config", "made:up"]
    assert authenticator.authenticate(issue(role="user", scopes=asked)).scopes == {"ledger:read"}
    assert authenticator.authenticate(issue(role="manager", scopes=asked)).scopes == {"ledger:read", "ledger:grant"}


def test_a_user_reaches_its_own_account_only(authenticator: Authenticator, issue: Issue) -> None:
    user = authenticator.authenticate(issue(role="user", sub="ann", scopes=["ledger:read"]))
    user.require_user("ann")
    with pytest.raises(WrongUser):
        user.require_user("bob")
    authenticator.authenticate(issue()).require_user("bob")


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "Bearer "])
def test_no_token(authenticator: Authenticator, header: str | None) -> None:
    with pytest.raises(TokenMissing) as refused:
        authenticator.authenticate(header)
    assert "WWW-Authenticate" in refused.value.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "payments"},
        {"aud": ["payments", "codes"]},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 129},
        {"role": None},
        {"role": "root"},
        {"role": ["admin"]},
        {"scopes": None},
        {"scopes": "ledger:read"},
        {"scopes": [1]},
        {"app": None},
        {"app": "Coins!"},
        {"app": 7},
        {"app": "coins", "apps": ["vpn"]},
        {"app": None, "apps": []},
        {"app": None, "apps": "*"},
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
        {"exp": 1e12},
        {"exp": True},
        {"role": "admin", "app": None, "apps": ["*"]},
        {"role": "user", "app": "*"},
    ],
)
def test_a_token_with_wrong_claims_is_refused(
    authenticator: Authenticator, key: Path, clock: ManualClock, changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(forge(key, clock, **changes))


@pytest.mark.parametrize("ahead", ["iat", "nbf"])
def test_a_token_of_the_future_is_refused(
    authenticator: Authenticator, key: Path, clock: ManualClock, ahead: str
) -> None:
    now = clock.now_us() // 1_000_000
    authenticator.authenticate(forge(key, clock, **{ahead: now + 4, "exp": now + 100}))
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(forge(key, clock, **{ahead: now + 20, "exp": now + 100}))


@pytest.mark.parametrize("role", sorted(PEOPLE))
def test_a_token_of_a_person_lives_ten_minutes_at_most(authenticator: Authenticator, issue: Issue, role: str) -> None:
    authenticator.authenticate(issue(role=role, ttl_s=600))
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(issue(role=role, ttl_s=601))
    authenticator.authenticate(issue(role="service", ttl_s=86_400))


def test_a_token_expires_even_when_it_is_remembered(
    authenticator: Authenticator, issue: Issue, clock: ManualClock
) -> None:
    token = issue(ttl_s=60)
    authenticator.authenticate(token)
    clock.advance(64)
    authenticator.authenticate(token)
    clock.advance(2)
    for _ in range(2):
        with pytest.raises(TokenExpired):
            authenticator.authenticate(token)


def test_only_our_algorithm_counts(authenticator: Authenticator, key: Path, tmp_path: Path, clock: ManualClock) -> None:
    claims = jwt.decode(forge(key, clock).removeprefix("Bearer "), options={"verify_signature": False})
    public = orjson.loads((tmp_path / "jwks.json").read_bytes())["keys"][0]["x"]
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": key.stem})
    by_public_key = jwt.encode(claims, public * 2, algorithm="HS256", headers={"kid": key.stem})
    for token in (unsigned, by_public_key):
        with pytest.raises(TokenInvalid):
            authenticator.authenticate(f"Bearer {token}")


def test_a_changed_or_foreign_token_is_refused(
    authenticator: Authenticator, issue: Issue, tmp_path: Path, key: Path, clock: ManualClock
) -> None:
    head, payload, signature = issue().split(".")
    changed = orjson.loads(base64.urlsafe_b64decode(payload + "==")) | {"app": "vpn"}
    swapped = base64.urlsafe_b64encode(orjson.dumps(changed)).rstrip(b"=").decode()
    stranger = tmp_path / "stranger" / f"{key.stem}.pem"
    stranger.parent.mkdir()
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    stranger.write_bytes(pem)
    for token in (
        f"{head}.{swapped}.{signature}",
        f"{head}.{payload}.",
        "Bearer x.y.z",
        "Bearer not-a-token",
        "Bearer " + "a" * 10_000,
        "Bearer \x00é",
        forge(stranger, clock),
    ):
        with pytest.raises(TokenInvalid):
            authenticator.authenticate(token)


def test_a_service_of_all_apps_names_one(authenticator: Authenticator, issue: Issue) -> None:
    token = issue(apps=["*"])
    assert authenticator.authenticate(token, "coins").app == "coins"
    assert authenticator.authenticate(token, "vpn").app == "vpn"
    for header in (None, "*", "", "COINS", "a b"):
        with pytest.raises(WrongApp):
            authenticator.authenticate(token, header)


def test_a_token_reaches_its_own_apps_only(authenticator: Authenticator, issue: Issue) -> None:
    assert authenticator.authenticate(issue(), "coins").app == "coins"
    with pytest.raises(WrongApp):
        authenticator.authenticate(issue(), "vpn")
    several = issue(apps=["coins", "vpn"])
    assert authenticator.authenticate(several, "vpn").app == "vpn"
    with pytest.raises(WrongApp):
        authenticator.authenticate(several, "studio")
    assert authenticator.authenticate(issue(apps=["vpn"])).app == "vpn"


def test_a_system_token_may_speak_for_no_app(authenticator: Authenticator, issue: Issue) -> None:
    principal = authenticator.authenticate(issue(role="system", apps=["*"], scopes=["events:read"]))
    principal.require("events:read")
    with pytest.raises(WrongApp):
        principal.require_app()
    assert authenticator.authenticate(issue(role="system", apps=["*"]), "coins").require_app() == "coins"


def test_new_keys_are_found_and_withdrawn_ones_forgotten(
    authenticator: Authenticator, issue: Issue, key: Path, tmp_path: Path, clock: ManualClock
) -> None:
    old = issue()
    authenticator.authenticate(old)
    second = generate_key(tmp_path / "keys", "second")
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(forge(second, clock))
    write_jwks(tmp_path / "keys", tmp_path / "jwks.json")
    clock.advance(2)
    assert authenticator.authenticate(forge(second, clock)).app == "coins"

    key.unlink()
    write_jwks(tmp_path / "keys", tmp_path / "jwks.json")
    clock.advance(11)
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(old)


def test_a_withdrawn_key_is_forgotten_though_the_wall_clock_went_back(
    authenticator: Authenticator, issue: Issue, key: Path, tmp_path: Path, clock: ManualClock
) -> None:
    old = issue(ttl_s=600)
    authenticator.authenticate(old)
    key.unlink()
    write_jwks(tmp_path / "keys", tmp_path / "jwks.json")
    clock.advance(11)
    clock.set(clock.now_us() - 30_000_000)
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(old)


def test_strangers_keys_do_not_make_us_read_the_file_each_time(
    authenticator: Authenticator, tmp_path: Path, clock: ManualClock
) -> None:
    stranger = generate_key(tmp_path / "stranger", "stranger")
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(forge(stranger, clock))
    (tmp_path / "jwks.json").unlink()
    write_jwks(tmp_path / "stranger", tmp_path / "jwks.json")
    with pytest.raises(TokenInvalid):
        authenticator.authenticate(forge(stranger, clock))
    clock.advance(2)
    authenticator.authenticate(forge(stranger, clock))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"keys": [{"kty": "OKP"}]}'])
def test_a_broken_key_set_leaves_the_one_that_works(
    authenticator: Authenticator, issue: Issue, tmp_path: Path, clock: ManualClock, content: bytes
) -> None:
    (tmp_path / "jwks.json").write_bytes(content)
    clock.advance(11)
    assert authenticator.authenticate(issue()).app == "coins"
    with pytest.raises(ValueError):
        read_jwks(tmp_path / "jwks.json")


def test_remembered_tokens_are_bounded(
    authenticator: Authenticator, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.service.auth.CACHE_SIZE", 3)
    for number in range(10):
        authenticator.authenticate(issue(sub=f"caller-{number}"))
    assert len(authenticator._cache) == 3


def test_private_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = generate_key(tmp_path / "keys", "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        generate_key(tmp_path / "keys", "mine")
    for bad in ("", "../x", "a/b", "x" * 65):
        with pytest.raises(ValueError, match="not a key id"):
            generate_key(tmp_path / "keys", bad)
    write_jwks(tmp_path / "keys", tmp_path / "jwks.json")
    published = (tmp_path / "jwks.json").read_text()
    assert '"d"' not in published
    assert "PRIVATE" not in published


def test_ensuring_keys_makes_one_key_and_keeps_it(tmp_path: Path) -> None:
    first = ensure_keys(tmp_path / "keys", tmp_path / "jwks.json")
    assert ensure_keys(tmp_path / "keys", tmp_path / "jwks.json") == first
    os.utime(first, (1, 1))
    second = generate_key(tmp_path / "keys", "newer")
    assert newest_key(tmp_path / "keys") == second
    assert sorted(read_jwks(tmp_path / "jwks.json")) == [first.stem]


def test_roles_are_those_of_the_contract() -> None:
    assert set(ROLE_SCOPES) == {"user", "manager", "service", "admin", "system"}
    assert "ledger:grant" not in ROLE_SCOPES["user"]
    assert "ledger:spend" not in ROLE_SCOPES["manager"]
    assert "ledger:adjust" not in ROLE_SCOPES["service"]
    assert "ledger:spend" not in ROLE_SCOPES["system"]
    assert [role for role, scopes in ROLE_SCOPES.items() if "events:read" in scopes] == ["admin", "system"]


def test_no_problem_of_authentication_repeats_the_token(authenticator: Authenticator, issue: Issue) -> None:
    token = issue(audience="payments")
    with pytest.raises(Problem) as refused:
        authenticator.authenticate(token)
    assert token.split(".")[1] not in str(refused.value.to_dict("id"))
