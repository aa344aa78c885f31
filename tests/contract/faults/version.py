"""What the zoo is made of: versions of a model, and families of versions that answer alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Question:
    """A request as a user sends it, and what is known to be true."""

    inputs: Arrays
    truth: Any
    """As the family's `is_right` reads it; never shown to what is tested."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model."""

    name: str
    what: str
    """In a few words, for the table."""
    write: Callable[[Path], None]
    """Writes the source, as its author would keep it, into an empty folder."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Family:
    """A stable version, and what may come after it."""

    name: str
    stable: Version
    faults: tuple[Version, ...]
    good: tuple[Version, ...]
    ask: Callable[[np.random.Generator], Question]
    """Draws a request of production."""
    is_right: Callable[[Any, Arrays], bool]
    """Whether a user can work with these answers, given the truth: independent of stable."""
    golden: tuple[Question, ...]
    """The cases that its owner keeps."""
    rules: Mapping[str, Mapping[str, Any]]
    """``outputs`` of ``golden.yaml``."""

    def draw(self, count: int, seed: int) -> Sequence[Question]:
        """Return requests of production, the same ones at every call."""
        rng = np.random.default_rng(seed)
        return [self.ask(rng) for _ in range(count)]
