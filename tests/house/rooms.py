"""Draws the floor plan of a package: its direct children are rooms, imports between them arrows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.house.code import Module, Place
from tests.house.words import is_below


@dataclass(frozen=True)
class Plan:
    """The rooms of one package and the arrows between them."""

    arrows: Mapping[str, Mapping[str, Place]]
    """Each room with the rooms that it imports, and where it does so first."""

    @property
    def rooms(self) -> list[str]:
        """The names of the rooms."""
        return sorted(self.arrows)

    @property
    def arrow_count(self) -> int:
        """How many pairs of rooms are joined by an import."""
        return sum(len(targets) for targets in self.arrows.values())

    @property
    def circles(self) -> list[frozenset[str]]:
        """Groups of rooms that reach each other by arrows."""
        groups = {self._circle_of(room) for room in self.arrows}
        return sorted((group for group in groups if len(group) > 1), key=sorted)

    @cached_property
    def floors(self) -> list[list[str]]:
        """The rooms by floor, lowest first; each stands just above the rooms that it imports.

        Their number is the length of the longest chain. Rooms in a circle share a floor.
        """
        floors: list[list[str]] = []
        left = set(self.arrows)
        while left:
            lowest = {
                room for room in left if not (self._below[room] & left) - self._circle_of(room)
            }
            floors.append(sorted(lowest))
            left -= lowest
        return floors

    def _circle_of(self, room: str) -> frozenset[str]:
        return frozenset(
            {room} | {other for other in self._below[room] if room in self._below[other]}
        )

    @cached_property
    def _below(self) -> dict[str, set[str]]:
        """Each room with all that it reaches by one arrow or more."""
        reached: dict[str, set[str]] = {}
        for room in self.arrows:
            found: set[str] = set()
            ahead = [room]
            while ahead:
                new = set(self.arrows[ahead.pop()]) - found
                found |= new
                ahead.extend(new)
            reached[room] = found
        return reached


def plan_of(package: str, modules: Iterable[Module]) -> Plan:
    """The floor plan of a package, such as ``slipway.policy``.

    A package's own ``__init__`` is no room: it is the door.
    """
    inside = [module for module in modules if is_below(module.name, package)]
    rooms = {room for module in inside if (room := _room_of(module.name, package))}
    arrows: dict[str, dict[str, Place]] = {room: {} for room in sorted(rooms)}
    for module in inside:
        room = _room_of(module.name, package)
        for name, line in module.imports:
            target = _room_of(name, package)
            if room and target in rooms and target != room:
                place = Place(module.path, line, f"{room} -> {target}")
                arrows[room].setdefault(target, place)
    return Plan(arrows)


def _room_of(name: str, package: str) -> str:
    if not name.startswith(f"{package}."):
        return ""
    return name.removeprefix(f"{package}.").partition(".")[0]
