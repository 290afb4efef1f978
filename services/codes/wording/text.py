"""What one refusal says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """For the end user: what it is called, what happened, and what to try next; `{name}` stands for a value."""

    title: str
    detail: str
    next: str
