"""What every route of the service shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from libs.events.outbox import Cause
from libs.service.app import request_id_of
from libs.service.auth import Principal
from libs.service.problems import FeatureDisabled
from libs.service.routes import traceparent_of
from services.codes.core import Core
from services.codes.handlers.redeeming import Desk

READ = "codes:read"
SPEND = "codes:spend"
GRANT = "codes:grant"
ADJUST = "codes:adjust"
CONFIG = "codes:config"


class Nothing(BaseModel):
    """A body without fields."""

    model_config = ConfigDict(extra="forbid")


def core_of(request: Request) -> Core:
    """The process's core."""
    core: Core = request.app.state.core
    return core


def desk_of(request: Request) -> Desk:
    """What redeems."""
    desk: Desk = request.app.state.desk
    return desk


def require_codes(core: Core, app: str) -> None:
    """403 `feature_disabled` where the app has switched codes off."""
    if not core.configs.get(app).document.switches.codes:
        raise FeatureDisabled("codes")


def cause_of(request: Request, principal: Principal) -> Cause:
    """Why messages are sent that a request causes."""
    return Cause(
        correlation_id=request_id_of(request),
        traceparent=traceparent_of(request),
        actor=principal.actor,
    )
