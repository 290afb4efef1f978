"""The service's part of the app's configuration."""

from libs.service.config_api import config_router
from services.codes.api.support import core_of
from services.codes.domain.specs import ConfigDocument

router = config_router(
    "codes", ConfigDocument, lambda request: core_of(request).configs, lambda request: core_of(request).clock
)
