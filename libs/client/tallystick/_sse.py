"""Server-sent events, as the HTML standard (section 9.2, "Server-sent events") defines their stream."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its name, its lines of data joined, and the id to resume after."""

    event: str
    data: str
    id: str | None


@dataclass(slots=True)
class SseReader:
    """Makes events of the lines of one connection; an empty line ends one, and one without data is none.

    `id` is that of the last that was whole: what broke off has not been seen.
    """

    id: str | None = None
    _id: str | None = None
    _event: str = ""
    _data: list[str] = field(default_factory=list)

    def line(self, text: str) -> ServerEvent | None:
        """Take a line, without its end; the event that it completes, if it does."""
        if not text:
            self.id = self.id if self._id is None else self._id
            event = ServerEvent(self._event or "message", "\n".join(self._data), self.id) if self._data else None
            self._event, self._data = "", []
            return event
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
        return None
