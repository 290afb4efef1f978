"""The published messages of codes. Importing this registers them all, which is what `codes.events` carries: `events` of
codes and redemptions, `referrals`."""

from libs.events.contracts.codes import events, referrals

__all__ = ["events", "referrals"]
