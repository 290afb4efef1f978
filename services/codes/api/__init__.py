"""The service over HTTP."""

from services.codes.api import batches, codes, config, feed, redemptions, referrals

ROUTERS = (redemptions.router, codes.router, referrals.router, batches.router, config.router, feed.router)
"""Every route; the ones that are asked most first, because they are looked for in order."""
