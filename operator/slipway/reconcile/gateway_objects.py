"""Reads what routes and Gateways of Gateway API say; foreign controllers write it."""

from collections.abc import Iterator

from slipway.api.base import Manifest
from slipway.policy.gateway import ParentAnswer, RouteReading

_TRUE_WHERE_GOOD = ("Accepted", "ResolvedRefs")
_TRUE_WHERE_BAD = "PartiallyInvalid"


def read_route(manifest: Manifest) -> RouteReading:
    """Return what a route asks for, and what each controller says of it at each parent."""
    metadata = manifest["metadata"]
    return RouteReading(
        kind=manifest["kind"],
        name=metadata["name"],
        hostnames=tuple(manifest["spec"].get("hostnames") or ()),
        answers=tuple(_read_answers(manifest, metadata["namespace"])),
    )


def find_unprogrammed(manifest: Manifest) -> str | None:
    """Return why a Gateway does not run; None: it does."""
    metadata = manifest["metadata"]
    name = f"Gateway {metadata['namespace']}/{metadata['name']}"
    entry = _conditions(manifest.get("status") or {}).get("Programmed")
    if entry is None:
        return f"{name}: no controller has programmed it yet"
    if entry.get("status") == "True":
        return None
    return f"{name}: {entry.get('message') or entry.get('reason') or 'not programmed'}"


def _read_answers(manifest: Manifest, namespace: str) -> Iterator[ParentAnswer]:
    generation = manifest["metadata"].get("generation", 0)
    for entry in (manifest.get("status") or {}).get("parents") or ():
        conditions = _conditions(entry)
        current = [
            conditions[kind]
            for kind in _TRUE_WHERE_GOOD
            if conditions.get(kind, {}).get("observedGeneration", 0) >= generation
            and conditions[kind].get("status") in {"True", "False"}
        ]
        refused = next((each for each in current if each["status"] == "False"), None)
        partial = conditions.get(_TRUE_WHERE_BAD, {})
        if refused is None and partial.get("status") == "True":
            refused = partial

        yield ParentAnswer(
            parent=_parent_name(entry.get("parentRef") or {}, namespace),
            is_current=len(current) == len(_TRUE_WHERE_GOOD) or refused in current,
            refusal=_refusal(refused) if refused is not None else None,
        )


def _refusal(condition: Manifest) -> tuple[str, str]:
    return str(condition.get("reason") or ""), str(condition.get("message") or "")


def _parent_name(reference: Manifest, namespace: str) -> str:
    whole = f"{reference.get('namespace') or namespace}/{reference.get('name', '')}"
    section = reference.get("sectionName")
    return f"{whole}/{section}" if section else whole


def _conditions(holder: Manifest) -> dict[str, Manifest]:
    return {str(entry.get("type")): entry for entry in holder.get("conditions") or ()}
