"""Named places where a trial makes a process die, stand still or lose a connection. Inert unless armed.

`reach("append.committed")` marks the place and costs one truth test. What is to happen there comes from the setting
`TALLYSTICK_FAILPOINTS`, which a process in production refuses: points separated by `;`, each

    name=action[@trigger]

The action is `kill` (SIGKILL: nothing is cleaned up), `exit` (at once, code 70), `stop` (SIGSTOP, until somebody
continues it) or `raise` (:class:`FailpointError`). The trigger is `n`, the nth time the place is reached and never
again; or `p%` or `p%:seed`, each time with that chance. Without one it is the first time. For example
`append.committed=kill@3;relay.acknowledged=stop@0.5%:42`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

EXIT_CODE = 70


class FailpointError(ConnectionError):
    """Raised by a point that was told to: a lost connection, as far as anybody can tell."""


def _die(number: signal.Signals) -> Callable[[str], None]:
    return lambda _name: os.kill(os.getpid(), number)


def _exit(_name: str) -> None:
    os._exit(EXIT_CODE)


def _raise(name: str) -> None:
    raise FailpointError(f"failpoint {name}")


_ACTIONS: dict[str, Callable[[str], None]] = {
    "kill": _die(signal.SIGKILL),
    "stop": _die(signal.SIGSTOP),
    "exit": _exit,
    "raise": _raise,
}
_POINT = re.compile(
    r"(?P<name>[a-z_]+(?:\.[a-z_]+)+)=(?P<action>[a-z]+)"
    r"(?:@(?:(?P<nth>[1-9]\d*)|(?P<percent>\d+(?:\.\d+)?)%(?::(?P<seed>\d+))?))?"
)


@dataclass(slots=True)
class Point:
    """What happens at a place: at the `nth` time, or each time with the `chance` (0 to 1)."""

    action: str
    nth: int
    chance: float
    dice: random.Random
    reached: int = field(default=0)

    def due(self) -> bool:
        """Count a time that the place is reached; whether the action is due."""
        self.reached += 1
        return self.dice.random() < self.chance if self.chance else self.reached == self.nth


_armed: dict[str, Point] = {}


def reach(name: str) -> None:
    """Mark a place. Raises :class:`FailpointError` where that was asked for."""
    if _armed:
        _hit(name)


def reach_sent(name: str) -> None:
    """Mark the place just behind the next `await`: when what it writes to a socket has been given to the system.

    A point here cannot raise.
    """
    if _armed and name in _armed:
        asyncio.get_running_loop().call_soon(_hit, name)


def _hit(name: str) -> None:
    point = _armed.get(name)
    if point is not None and point.due():
        os.write(2, f"failpoint {name}: {point.action} at time {point.reached}\n".encode())
        _ACTIONS[point.action](name)


def parse(text: str) -> dict[str, Point]:
    """Points by name. Raises ValueError naming what is not understood."""
    points: dict[str, Point] = {}
    for each in filter(None, (part.strip() for part in text.split(";"))):
        found = _POINT.fullmatch(each)
        if found is None or found["action"] not in _ACTIONS:
            raise ValueError(f"{each!r} is not name=action[@n|@p%[:seed]] with an action of {', '.join(_ACTIONS)}")
        chance = float(found["percent"] or 0) / 100
        if chance > 1:
            raise ValueError(f"{each!r}: more than 100 %")
        dice = random.Random(None if found["seed"] is None else int(found["seed"]))  # noqa: S311
        points[found["name"]] = Point(found["action"], int(found["nth"] or 1), chance, dice)
    return points


def arm(text: str) -> None:
    """Take over what a setting says, in the place of what was armed before. Raises ValueError as `parse` does."""
    _armed.clear()
    _armed.update(parse(text))
