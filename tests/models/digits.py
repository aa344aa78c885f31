"""The data: scikit-learn's scans of handwritten digits, and what production makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Images = npt.NDArray[np.float32]
"""N by 64, in [0, 1]: 8 by 8 pixels, row by row."""
Labels = npt.NDArray[np.int64]
"""N, in 0..9."""

PIXELS = 64
CLASSES = 10
BRIGHTEST = 16
FAINT_BELOW = 0.5
"""A scan whose brightest pixel is darker than this is faint; no scan of the data set is."""
FADING = 0.375
FAINT_EVERY = 4


@dataclass(frozen=True, slots=True)
class Digits:
    """Scans and what they show."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int | None = None) -> "Digits":
        """Return the scans from `start` up to `stop`."""
        return Digits(self.images[start:stop], self.labels[start:stop])


@dataclass(frozen=True, slots=True)
class Split:
    """Three parts that share no scan."""

    training: Digits
    golden: Digits
    production: Digits


def load_split() -> Split:
    """Return the same split at every call."""
    data: Any = load_digits()
    images = (data.data / BRIGHTEST).astype(np.float32)
    labels = data.target.astype(np.int64)
    train_images, held_images, train_labels, held_labels = train_test_split(
        images, labels, test_size=400, random_state=0, stratify=labels
    )
    held = Digits(held_images, held_labels)
    return Split(Digits(train_images, train_labels), held.part(0, 150), held.part(150))


def as_in_production(digits: Digits) -> Digits:
    """Return the scans as clients send them: one in four comes from a lamp that has grown dim.

    Neither the training data nor the golden set has such scans, which is why only live traffic
    can tell that a version does not cope with them.
    """
    images = digits.images.copy()
    images[::FAINT_EVERY] *= FADING
    return Digits(images, digits.labels)
