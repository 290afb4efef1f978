"""The service over HTTP."""

from services.codes.api import (
    batches,
    campaigns,
    checkouts,
    codes,
    config,
    feed,
    history,
    redemptions,
    referrals,
    statistics,
    validations,
)

ROUTERS = (
    redemptions.router,
    validations.router,
    checkouts.router,
    codes.router,
    referrals.router,
    batches.router,
    campaigns.router,
    history.router,
    statistics.router,
    config.router,
    feed.router,
)
"""Every route; the ones that are asked most first, because they are looked for in order."""
