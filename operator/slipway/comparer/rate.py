"""How many copies are taken in a second; pure."""

from dataclasses import dataclass


@dataclass(slots=True)
class CopyRate:
    """Holds the tokens of one second at most."""

    tokens: float | None = None
    """None: full."""
    at: float = 0.0

    def take(self, per_second: float, now: float) -> bool:
        """Take a token; return whether there was one.

        Args:
            per_second: tokens that come in a second; 1 or more.
            now: seconds of a monotonic clock.

        """
        if self.tokens is None:
            self.tokens, self.at = per_second, now
        self.tokens = min(per_second, self.tokens + (now - self.at) * per_second)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
