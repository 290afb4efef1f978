"""The app that runs are about: plans, prices, earning rules, and a second version of them that some runs apply."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from services.ledger.domain.config import ConfigDocument

APP = "coins"
USERS = ("ann", "ben", "cy", "dot", "eve", "fay", "gil", "hal")
ZONE = ZoneInfo("Europe/Berlin")
_DOCUMENT: dict[str, Any] = {
    "zone": ZONE.key,
    "assets": {"coins": {"scale": 0}},
    "thresholds": [{"below": "20", "rearm_at": "40"}],
    "hold_limits": {"default_s": 4, "max_s": 30},
    "allowances": {
        "free": {"limit": "30", "default": True, "rollover": {"max": "12"}},
        "plus": {"limit": "90"},
        "own": {"limit": "60", "period": "anniversary", "rollover": {"min": "5", "max": "50"}},
        "paid": {"limit": "200", "period": "anniversary", "grace_s": 3},
    },
    "earning_rules": {
        "hello": {"amount": "3"},
        "rate": {"amount": "5", "group": "praise", "times": 2},
        "share": {"amount": "4", "group": "praise", "times": 2},
        "visit": {"amount": "2", "times": 2, "period": "month"},
    },
    "earning_caps": [{"amount": "9", "period": "month"}],
    "prices": {
        "operations": {"text": {"amount": "0.7", "minimum": "2"}},
        "models": {"tiny": {"per": 1, "input": "0.5", "output": "1.3", "markup_percent": 10}},
        "quote_ttl_s": 10,
    },
}
_LATER = {
    **_DOCUMENT,
    "allowances": {
        "free": {"limit": "25", "default": True},
        "plus": {"limit": "100", "rollover": {"min": "1", "max": "10"}},
        "own": _DOCUMENT["allowances"]["own"],
    },
}
DOCUMENTS = tuple(ConfigDocument.model_validate(each) for each in (_DOCUMENT, _LATER))
