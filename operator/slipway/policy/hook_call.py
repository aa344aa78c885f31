"""Questions to hooks, and what their answers mean: values only."""

from dataclasses import dataclass
from enum import StrEnum

from slipway.api.modeldeployment import Hook


class Said(StrEnum):
    """What the answer of a hook means."""

    PASSED = "Passed"
    REJECTED = "Rejected"
    UNCLEAR = "Unclear"


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """What came back."""

    said: Said
    reason: str
    """CamelCase, ours: nothing of a response is repeated."""


@dataclass(frozen=True, slots=True)
class HookCall:
    """A question to one hook."""

    id: str
    """The same whenever the same is asked."""
    hook: Hook
    namespace: str
    name: str
    revision: str
    version: str
    attempt: int
    step: int
    weight: int
    tries: int

    @property
    def key(self) -> str:
        """Tells one try from the next."""
        return f"{self.id}#{self.tries}"
