"""What the watches have seen: one small projection per object, indexed by namespace and by owner.

The cache says when to look. Where stale data would do harm, a pass reads live.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from slipway.api.kinds import Kind
from slipway.engine.queue import Key

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ref:
    """An object's place and identity."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    version: int = 0
    """The resourceVersion; 0 where it is unknown or no number."""
    generation: int = 0
    owner: str | None = None
    """uid of the controlling owner."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What the cache keeps of one object."""

    ref: Ref
    value: object
    """The projection; None where it failed or the object is of no interest."""
    wakes: tuple[Key, ...]
    """Keys that a change of the object concerns."""
    change: int
    """Number of the change to the cache that stored it."""


Place = tuple[Kind, str, str]


class Cache:
    """Projections by (kind, namespace, name)."""

    def __init__(self) -> None:
        self._entries: dict[Place, CacheEntry] = {}
        self._owned: defaultdict[str, set[Place]] = defaultdict(set)
        self._by_kind: defaultdict[tuple[Kind, str], dict[str, Place]] = defaultdict(dict)
        self._changes = 0

    @property
    def changes(self) -> int:
        """Number of the last change; a sweep compares entries with it."""
        return self._changes

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._entries)

    def store(self, ref: Ref, value: object, wakes: tuple[Key, ...] = ()) -> bool:
        """Keep the projection; True where it differs from the one before, or the object is new.

        A version older than the known one of the same object is ignored: events may arrive late.
        """
        place = (ref.kind, ref.namespace, ref.name)
        known = self._entries.get(place)
        if known is not None and known.ref.uid == ref.uid and ref.version < known.ref.version:
            return False

        self._changes += 1
        if known is not None and known.ref.owner != ref.owner:
            self._disown(known)
        self._entries[place] = CacheEntry(ref, value, wakes, self._changes)
        self._by_kind[ref.kind, ref.namespace][ref.name] = place
        if ref.owner is not None:
            self._owned[ref.owner].add(place)

        return known is None or known.ref.uid != ref.uid or known.value != value

    def remove(self, ref: Ref) -> CacheEntry | None:
        """Forget the object and return its entry; None also where a newer object has its name."""
        known = self._entries.get((ref.kind, ref.namespace, ref.name))
        if known is None or known.ref.uid != ref.uid:
            return None

        self._changes += 1
        self._disown(known)
        del self._entries[ref.kind, ref.namespace, ref.name]
        names = self._by_kind[ref.kind, ref.namespace]
        del names[ref.name]
        if not names:
            del self._by_kind[ref.kind, ref.namespace]

        return known

    def get(self, kind: Kind, namespace: str, name: str, of: type[T]) -> T | None:
        """Return the projection, or None where there is no such object or it has none."""
        entry = self._entries.get((kind, namespace, name))
        return entry.value if entry is not None and isinstance(entry.value, of) else None

    def entry(self, kind: Kind, namespace: str, name: str) -> CacheEntry | None:
        """Return all that the cache keeps of an object."""
        return self._entries.get((kind, namespace, name))

    def in_namespace(self, kind: Kind, namespace: str, of: type[T]) -> list[T]:
        """Return the projections of a kind in a namespace, by name."""
        places = self._by_kind.get((kind, namespace), {})
        values = (self._entries[places[name]].value for name in sorted(places))
        return [value for value in values if isinstance(value, of)]

    def owned_by(self, uid: str, of: type[T]) -> list[T]:
        """Return the projections of type `of` that the object with this uid controls, by name."""
        places = sorted(self._owned.get(uid, ()), key=_sort_key)
        values = (self._entries[place].value for place in places)
        return [value for value in values if isinstance(value, of)]

    def entries(self, kind: Kind) -> Iterator[CacheEntry]:
        """Iterate over all objects of a kind; the cache must not change during the iteration."""
        return (entry for place, entry in self._entries.items() if place[0] == kind)

    def _disown(self, entry: CacheEntry) -> None:
        owner = entry.ref.owner
        if owner is None:
            return
        places = self._owned[owner]
        places.discard((entry.ref.kind, entry.ref.namespace, entry.ref.name))
        if not places:
            del self._owned[owner]


def _sort_key(place: Place) -> tuple[str, str]:
    return place[2], place[0].kind
