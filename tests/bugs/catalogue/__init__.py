"""All seeded bugs, by what they are wrong about."""

from __future__ import annotations

from tests.bugs.bug import Bug
from tests.bugs.catalogue.allowances import ALLOWANCES
from tests.bugs.catalogue.books import BOOKS
from tests.bugs.catalogue.budgets import BUDGETS
from tests.bugs.catalogue.codes import CODES
from tests.bugs.catalogue.doors import DOORS
from tests.bugs.catalogue.messages import MESSAGES
from tests.bugs.catalogue.metering import METERING
from tests.bugs.catalogue.once import ONCE
from tests.bugs.catalogue.prices import PRICES
from tests.bugs.catalogue.referrals import REFERRALS
from tests.bugs.catalogue.telling import TELLING
from tests.bugs.catalogue.writing import WRITING

ALL: tuple[Bug, ...] = (
    *BOOKS,
    *ALLOWANCES,
    *BUDGETS,
    *PRICES,
    *WRITING,
    *ONCE,
    *MESSAGES,
    *TELLING,
    *DOORS,
    *METERING,
    *CODES,
    *REFERRALS,
)
BY_NAME = {bug.name: bug for bug in ALL}
