"""The service over HTTP."""

from services.codes.api import config, feed, redemptions

ROUTERS = (redemptions.router, config.router, feed.router)
"""Every route; the ones that are asked most first, because they are looked for in order."""
