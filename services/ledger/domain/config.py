"""The ledger's part of an app file, as it is applied, and the compiled form that decisions read.

The document is strict: an unknown key is refused. Amounts are decimal strings of the asset they concern. Every
version that was applied stays in the log (`config_applied`), and each event names the version it was decided under.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import orjson
from pydantic import Field, model_validator

from services.ledger.domain.allowances import Plan, compile_plan
from services.ledger.domain.amounts import AmountError, parse_positive
from services.ledger.domain.budgets import BudgetPeriod
from services.ledger.domain.pricing.book import PriceBook, compile_book
from services.ledger.domain.rejections import Rejected, disabled
from services.ledger.domain.specs.allowances import AllowanceSpec
from services.ledger.domain.specs.app import AssetSpec, PoliciesSpec, SwitchesSpec, TestModeSpec
from services.ledger.domain.specs.base import Name, Strict, Zone
from services.ledger.domain.specs.earning import EarningCapSpec, EarningRuleSpec, check_groups
from services.ledger.domain.specs.holds import HoldLimitSpec, HoldLimitsSpec
from services.ledger.domain.specs.prices import PricesSpec
from services.ledger.domain.specs.thresholds import ThresholdSpec
from services.ledger.domain.state import Threshold


class ConfigDocument(Strict):
    """What `PUT /v1/config` takes."""

    zone: Zone = "UTC"
    assets: dict[Name, AssetSpec] = Field(min_length=1, max_length=64)
    prices: PricesSpec = PricesSpec()
    allowances: dict[Name, AllowanceSpec] = Field(default={}, max_length=1000)
    earning_rules: dict[Name, EarningRuleSpec] = Field(default={}, max_length=1000)
    earning_caps: list[EarningCapSpec] = Field(default=[], max_length=256)
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
            for cap in self.earning_caps:
                parse_positive(cap.amount, self._scale(cap.asset or default))
            for plan in self.allowances.values():
                plan.check(self._scale(plan.asset or default))
            for threshold in self.thresholds:
                threshold.check(self._scale(threshold.asset or default))
        except AmountError as error:
            raise ValueError(error.detail) from error
        starting = [plan.asset or default for plan in self.allowances.values() if plan.default]
        if len(starting) != len(set(starting)):
            raise ValueError("one plan of an asset is the default")
        self.prices.check({name: asset.scale for name, asset in self.assets.items()}, default)
        check_groups(self.earning_rules)
        if len({(cap.asset or default, cap.period) for cap in self.earning_caps}) < len(self.earning_caps):
            raise ValueError("there is one earning cap for a period of an asset")
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
    times: int
    period: BudgetPeriod


@dataclass(slots=True)
class EarningCap:
    """What all earning rules of an asset give one user at most in each period."""

    period: BudgetPeriod
    limit: int


@dataclass(slots=True)
class AppConfig:
    """One applied version of an app's configuration, ready for decisions.

    `applied_at` (microseconds since the epoch) is since when it is in force; `earlier` is the version before it.
    """

    app: str
    version: int
    document: ConfigDocument
    default_asset: str
    scales: dict[str, int]
    rules: dict[str, EarningRule]
    earning_caps: dict[str, tuple[EarningCap, ...]]
    thresholds: dict[str, tuple[Threshold, ...]]
    plans: dict[str, Plan] = field(default_factory=dict)
    default_plans: dict[str, Plan] = field(default_factory=dict)
    """By asset: the plan with which an account opens."""

    test_clock_start: datetime | None = None
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    book: PriceBook = field(default_factory=PriceBook)
    applied_at: int = 0
    earlier: AppConfig | None = field(default=None, repr=False, compare=False)

    def at(self, time_us: int) -> AppConfig:
        """The version that was in force at a time; the first one for times before it."""
        config = self
        while config.applied_at > time_us and config.earlier is not None:
            config = config.earlier
        return config

    def plan(self, name: str, asset: str) -> Plan | None:
        """A plan of an asset."""
        plan = self.plans.get(name)
        return None if plan is None or plan.asset != asset else plan

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


def compile_config(
    app: str, version: int, document: ConfigDocument, applied_at: int = 0, earlier: AppConfig | None = None
) -> AppConfig:
    """The form that decisions read; the document has been validated, so this cannot fail.

    In force since `applied_at` (microseconds since the epoch), after `earlier`, the version before it.
    """
    default = next((name for name, asset in document.assets.items() if asset.default), next(iter(document.assets)))
    scales = {name: asset.scale for name, asset in document.assets.items()}
    rules = {}
    for action, rule in document.earning_rules.items():
        asset = rule.asset or default
        expires = None if rule.expires_after_s is None else rule.expires_after_s * 1_000_000
        amount = parse_positive(rule.amount, scales[asset])
        rules[action] = EarningRule(asset, amount, rule.group or action, expires, rule.times, rule.period)
    caps: dict[str, tuple[EarningCap, ...]] = {}
    for cap in document.earning_caps:
        asset = cap.asset or default
        caps[asset] = (*caps.get(asset, ()), EarningCap(cap.period, parse_positive(cap.amount, scales[asset])))
    thresholds: dict[str, list[Threshold]] = {}
    for spec in document.thresholds:
        asset = spec.asset or default
        thresholds.setdefault(asset, []).append(spec.compiled(scales[asset]))
    plans = {
        name: compile_plan(name, plan, plan.asset or default, scales[plan.asset or default])
        for name, plan in document.allowances.items()
    }
    same_prices = earlier is not None and earlier.document.prices == document.prices
    price_version = earlier.book.version if earlier is not None and same_prices else version
    return AppConfig(
        app=app,
        version=version,
        document=document,
        default_asset=default,
        scales=scales,
        rules=rules,
        earning_caps=caps,
        thresholds={asset: tuple(items) for asset, items in thresholds.items()},
        plans=plans,
        default_plans={plan.asset: plan for name, plan in plans.items() if document.allowances[name].default},
        test_clock_start=document.test_mode.clock_start if document.test_mode else None,
        zone=ZoneInfo(document.zone),
        book=compile_book(document.prices, price_version, scales, default),
        applied_at=applied_at,
        earlier=earlier,
    )


def canonical(document: ConfigDocument) -> str:
    """The document as canonical JSON text, defaults left out: what `config_applied` records."""
    return orjson.dumps(document.model_dump(mode="json", exclude_defaults=True), option=orjson.OPT_SORT_KEYS).decode()


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
