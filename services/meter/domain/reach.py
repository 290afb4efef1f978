"""How far a hold reaches, in tokens of the answer: when it is extended, by how much, and when there is no more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Reach:
    """`held` tokens are paid for; each extension asks for `step` more, until one is refused.

    Then the last token that the account can pay is looked for between what it could and what it could not (`beyond`),
    halving the distance, whatever the prices are.
    """

    held: int
    step: int
    beyond: int | None = None

    @property
    def target(self) -> int:
        """The tokens that the next extension asks for, in all."""
        return self.held + self.step if self.beyond is None else (self.held + self.beyond) // 2

    @property
    def exhausted(self) -> bool:
        """Whether the account cannot pay one token more."""
        return self.beyond == self.held + 1

    def is_short(self, made: int) -> bool:
        """Whether it is time to ask for more: at half a step before what is held is used up."""
        return not self.exhausted and self.held - made <= self.step // 2

    def granted(self) -> None:
        """The account could pay :attr:`target`."""
        self.held = self.target

    def refused(self) -> None:
        """It could not."""
        self.beyond = self.target
