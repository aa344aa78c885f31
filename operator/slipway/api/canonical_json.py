"""The one JSON text of a value, and the sha256 that identifies it."""

import hashlib
import json

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
"""Made once: it is asked 25 times for each new ModelDeployment."""


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, nothing escaped in vain."""
    return _ENCODER.encode(value)


def sha256_of(value: object) -> str:
    """Return the sha256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
