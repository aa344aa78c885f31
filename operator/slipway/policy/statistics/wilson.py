"""Bounds of a ratio, for the one question that has nothing to compare with at the same moment.

Source: E. B. Wilson, Probable inference, JASA 22 (1927) 209-212.
"""

import math

FAIL_Z = 3.0
PASS_Z = 1.64


def wilson_interval(bad: int, total: int, z: float) -> tuple[float, float]:
    """Return the Wilson interval of a ratio; (0, 1) without samples."""
    if total <= 0:
        return 0.0, 1.0
    ratio, square = min(max(bad, 0), total) / total, z * z
    centre = (ratio + square / (2 * total)) / (1 + square / total)
    half = (
        z
        / (1 + square / total)
        * math.sqrt(ratio * (1 - ratio) / total + square / (4 * total * total))
    )
    return max(0.0, centre - half), min(1.0, centre + half)
