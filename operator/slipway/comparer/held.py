"""How much the comparer holds at a time: the bound on its memory."""

from dataclasses import dataclass

MOST_COPIES = 64
"""Also how many the candidate is asked at a time."""
MOST_BYTES = 48 * 2**20
"""Of requests, of stable's answers and of the candidate's."""


class Full(Exception):
    """Nothing more can be held now."""


@dataclass(slots=True)
class HeldCopies:
    """Counts what is held."""

    copies: int = 0
    size: int = 0

    def begin(self) -> None:
        """Hold one more copy, whose bytes are added as they come.

        Raises:
            Full: there are too many, or too many bytes already; it has to be released all the same.

        """
        self.copies += 1
        if self.copies > MOST_COPIES or self.size > MOST_BYTES:
            raise Full

    def add(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            Full: these are too many; they have to be released all the same.

        """
        self.size += size
        if self.size > MOST_BYTES:
            raise Full

    def release(self, size: int) -> None:
        """Hold a copy of so many bytes no more."""
        self.copies -= 1
        self.size -= size
