"""API keys as a Secret has them: names of callers, each with the hash of its key; pure."""

import re
from collections.abc import Mapping

HASH = re.compile(rb"\{SHA\}[A-Za-z0-9+/]{27}=")
"""The one form that Envoy compares; of a random key no hash needs to be slow."""
NAMED = 5
"""Entries that a message names."""


def read_keys(data: Mapping[str, bytes]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the names with their hashes, and the names of entries that have none, both sorted."""
    hashes = {name: value.strip() for name, value in data.items()}
    good = {name: value for name, value in hashes.items() if HASH.fullmatch(value)}
    keys = tuple((name, value.decode()) for name, value in sorted(good.items()))
    return keys, tuple(sorted(hashes.keys() - good.keys()))


def describe_keys(count: int, broken: tuple[str, ...]) -> str:
    """Return what a message says of a Secret's entries; never what is in one: it may be a key."""
    known = f"{count} key{'' if count == 1 else 's'}"
    if not broken:
        return known
    more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    named = ", ".join(broken[:NAMED]) + more
    return f"{named}: expected {{SHA}} and a SHA-1 in base64; {known} in use"
