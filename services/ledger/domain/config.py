"""The ledger's part of an app file, as it is applied, and the compiled form that decisions read.

The document is strict: an unknown key is refused. Amounts are decimal strings of the asset they concern. Every
version that was applied stays in the log (`config_applied`), and each event names the version it was decided under.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.ledger.domain.amounts import SCALE_MAX, AmountError, parse_positive, parse_signed
from services.ledger.domain.rejections import Rejected, disabled
from services.ledger.domain.state import RevokePolicy, Threshold

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
APP_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
DAY_S = 86_400
DURATION_S_MAX = 36_525 * DAY_S
"""A hundred years: longer times would lead beyond what a calendar can write."""


def valid_zone(name: str) -> str:
    """An IANA time zone's name; ValueError if there is no such zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
    return name


Zone = Annotated[str, Field(max_length=64), AfterValidator(valid_zone)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AssetSpec(_Strict):
    """A kind of credits. The scale never changes once the asset exists."""

    scale: int = Field(ge=0, le=SCALE_MAX)
    default: bool = False


class EarningRuleSpec(_Strict):
    """An action that earns once per user; rules that name the same group earn once together."""

    amount: str
    asset: Name | None = None
    group: Name | None = None
    expires_after_s: int | None = Field(default=None, gt=0, le=DURATION_S_MAX)


class ThresholdSpec(_Strict):
    """A level of `available`, crossed downward; armed again at `rearm_at` (the level itself by default)."""

    below: str
    rearm_at: str | None = None
    asset: Name | None = None


class HoldLimitSpec(_Strict):
    """Seconds that a hold lasts by default, and at most, counted from its creation."""

    default_s: int = Field(default=300, gt=0)
    max_s: int = Field(default=DAY_S, gt=0, le=DURATION_S_MAX)

    @model_validator(mode="after")
    def _default_within_max(self) -> HoldLimitSpec:
        if self.default_s > self.max_s:
            raise ValueError("default_s is more than max_s")
        return self


class HoldLimitsSpec(HoldLimitSpec):
    """The app's limits, and those of roles that differ. `open_max`: holds that one account may have at once."""

    open_max: int = Field(default=1000, ge=1, le=10_000)
    roles: dict[str, HoldLimitSpec] = {}


class PoliciesSpec(_Strict):
    """How the app wants the cases that have no one right answer to be settled.

    `lots_max`: lots that one account may have, before gifts and transfers to it are refused.
    """

    lots_max: int = Field(default=1000, ge=1, le=10_000)
    capture_tolerance_percent: int = Field(default=0, ge=0, le=1000)
    refund_grace_s: int = Field(default=7 * DAY_S, gt=0, le=DURATION_S_MAX)
    revoke: RevokePolicy = "debt"
    top_up_url: str | None = Field(default=None, max_length=500, pattern=r"^https?://")


class SwitchesSpec(BaseModel):
    """Features of the ledger that an app may switch off. Every service gets all switches and reads its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    transfers: bool = True
    actions: bool = True
    holds: bool = True


class TestModeSpec(_Strict):
    """An app in test mode has a clock of its own that starts here and moves forward by hand."""

    clock_start: AwareDatetime


class ConfigDocument(_Strict):
    """What `PUT /v1/config` takes."""

    zone: Zone = "UTC"
    assets: dict[Name, AssetSpec] = Field(min_length=1, max_length=64)
    earning_rules: dict[Name, EarningRuleSpec] = Field(default={}, max_length=1000)
    thresholds: list[ThresholdSpec] = Field(default=[], max_length=20)
    hold_limits: HoldLimitsSpec = HoldLimitsSpec()
    policies: PoliciesSpec = PoliciesSpec()
    switches: SwitchesSpec = SwitchesSpec()
    test_mode: TestModeSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ConfigDocument:
        defaults = [name for name, asset in self.assets.items() if asset.default]
        if len(defaults) > 1 or (not defaults and len(self.assets) > 1):
            raise ValueError("exactly one asset is the default")
        default = defaults[0] if defaults else next(iter(self.assets))
        try:
            for rule in self.earning_rules.values():
                parse_positive(rule.amount, self._scale(rule.asset or default))
            for threshold in self.thresholds:
                scale = self._scale(threshold.asset or default)
                below = parse_signed(threshold.below, scale)
                if parse_signed(threshold.rearm_at or threshold.below, scale) < below:
                    raise ValueError("a threshold is armed again at or above its level")
        except AmountError as error:
            raise ValueError(error.detail) from error
        return self

    def _scale(self, asset: str) -> int:
        if asset not in self.assets:
            raise ValueError(f"there is no asset {asset!r}")
        return self.assets[asset].scale


@dataclass(slots=True)
class EarningRule:
    """A compiled earning rule; `remembered_as` is its group, or the action's own name."""

    asset: str
    amount: int
    remembered_as: str
    expires_after_us: int | None


@dataclass(slots=True)
class AppConfig:
    """One applied version of an app's configuration, ready for decisions."""

    app: str
    version: int
    document: ConfigDocument
    default_asset: str
    scales: dict[str, int]
    rules: dict[str, EarningRule]
    thresholds: dict[str, tuple[Threshold, ...]]
    test_clock_start: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def asset(self, name: str | None) -> str:
        """The asset of a command, the default one if it names none; 404 `unknown_asset`."""
        if name is None:
            return self.default_asset
        if name not in self.scales:
            raise Rejected(404, "unknown_asset", f"This app has no asset '{name}'.")
        return name

    def require(self, feature: str) -> None:
        """403 `feature_disabled` where the app has switched it off."""
        if not getattr(self.document.switches, feature):
            raise disabled(feature)

    def hold_seconds(self, role: str, asked: int | None) -> tuple[int, int]:
        """(seconds of this hold, most that it may be extended to) for a caller's role."""
        limits = self.document.hold_limits
        limit: HoldLimitSpec = limits.roles.get(role, limits)
        return min(asked or limit.default_s, limit.max_s), limit.max_s


def compile_config(app: str, version: int, document: ConfigDocument) -> AppConfig:
    """The form that decisions read; the document has been validated, so this cannot fail."""
    default = next((name for name, asset in document.assets.items() if asset.default), next(iter(document.assets)))
    scales = {name: asset.scale for name, asset in document.assets.items()}
    rules = {}
    for action, rule in document.earning_rules.items():
        asset = rule.asset or default
        expires = None if rule.expires_after_s is None else rule.expires_after_s * 1_000_000
        amount = parse_positive(rule.amount, scales[asset])
        rules[action] = EarningRule(asset, amount, rule.group or action, expires)
    thresholds: dict[str, list[Threshold]] = {}
    for spec in document.thresholds:
        asset = spec.asset or default
        below = parse_signed(spec.below, scales[asset])
        rearm = below if spec.rearm_at is None else parse_signed(spec.rearm_at, scales[asset])
        thresholds.setdefault(asset, []).append(Threshold(below, rearm))
    return AppConfig(
        app=app,
        version=version,
        document=document,
        default_asset=default,
        scales=scales,
        rules=rules,
        thresholds={asset: tuple(items) for asset, items in thresholds.items()},
        test_clock_start=document.test_mode.clock_start if document.test_mode else None,
        zone=ZoneInfo(document.zone),
    )


def canonical_data(document: ConfigDocument) -> dict[str, Any]:
    """The document as JSON data, defaults left out."""
    return document.model_dump(mode="json", exclude_defaults=True)


def canonical(document: ConfigDocument) -> str:
    """The document as canonical JSON text, defaults left out: what `config_applied` records."""
    return orjson.dumps(canonical_data(document), option=orjson.OPT_SORT_KEYS).decode()


def differences(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """What changes between two documents: a list of {path, before, after}, in order of the paths."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted(before.keys() | after.keys())
            for change in differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if before == after else [{"path": path, "before": before, "after": after}]


def check_successor(current: ConfigDocument | None, new: ConfigDocument) -> None:
    """What must stay as it is from one version to the next; 409 `config_conflict` otherwise.

    An asset is never removed and its scale never changes, because amounts in the log are read by it. An app does not
    enter or leave test mode, because its times would no longer be comparable.
    """
    if current is None:
        return
    for name, asset in current.assets.items():
        if name not in new.assets:
            raise Rejected(409, "config_conflict", f"The asset '{name}' exists and cannot be removed.")
        if new.assets[name].scale != asset.scale:
            raise Rejected(409, "config_conflict", f"The scale of '{name}' cannot change.")
    if (current.test_mode is None) != (new.test_mode is None):
        raise Rejected(409, "config_conflict", "An app cannot enter or leave test mode.")
    if current.test_mode is not None and new.test_mode is not None:
        starts = current.test_mode.clock_start, new.test_mode.clock_start
        if starts[1] < starts[0]:
            raise Rejected(409, "config_conflict", "The clock of an app in test mode cannot start earlier than it did.")
