"""The golden set: scans that nobody trained on, with what they really show."""

import io

import numpy as np
import yaml

from tests.models.archives import tar_gz
from tests.models.digits import CLASSES, Digits
from tests.models.networks import INPUT, LABEL, PROBABILITIES

MIN_AGREEMENT = 0.9
"""A good model of these digits reads 96 to 98 of 100 right; one that guesses, 10."""


def golden_set(digits: Digits) -> bytes:
    """Return the archive: golden.yaml says how outputs are compared, cases.npz holds the cases."""
    rules = {"outputs": {LABEL: {"compare": "Equal"}, PROBABILITIES: {"compare": "ArgMax"}}}
    certain = np.eye(CLASSES, dtype=np.float32)[digits.labels]
    cases = {
        f"input.{INPUT}": digits.images,
        f"output.{LABEL}": digits.labels.reshape(-1, 1),
        f"output.{PROBABILITIES}": certain,
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **cases)  # type: ignore[arg-type]
    return tar_gz({"golden.yaml": yaml.safe_dump(rules).encode(), "cases.npz": packed.getvalue()})
