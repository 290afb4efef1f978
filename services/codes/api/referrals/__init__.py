"""Who came by whom: codes of users' own, binding, what it earned, and what waits for somebody's approval."""

from services.codes.api.referrals.routes import router

__all__ = ["router"]
