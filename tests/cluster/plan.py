"""What a node runs, as data: written by `up`, carried out by `inside.py`, kept for a power loss."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Component:
    """A daemon of the node and how to see that it is ready."""

    name: str
    command: tuple[str, ...]
    ready: str
    """An HTTP(S) address that answers 200, or `unix:<path>` of a socket that accepts."""
    groups: tuple[str, ...] = ()
    """Its cgroups; none: those of the node's first process."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Daemons that start side by side, and the commands that follow once all are ready."""

    components: tuple[Component, ...]
    then: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything `inside.py` needs to know."""

    node: str
    network: tuple[tuple[str, ...], ...]
    """Commands that set up the node's end of the link and its forwarding."""
    binds: tuple[tuple[str, str], ...]
    """Directories of the state (first) that the node sees elsewhere (second)."""
    memory: tuple[str, ...]
    """Places where the node has an empty tmpfs of its own, lost with its power."""
    stages: tuple[Stage, ...]
    logs: str
    status: str
    """File that says how far the start has come."""

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def parse_plan(text: str) -> Plan:
    """Return the plan that `to_json` wrote."""
    raw: dict[str, Any] = json.loads(text)
    return Plan(
        node=raw["node"],
        network=_commands(raw["network"]),
        binds=tuple((source, target) for source, target in raw["binds"]),
        memory=tuple(raw["memory"]),
        stages=tuple(_stage(stage) for stage in raw["stages"]),
        logs=raw["logs"],
        status=raw["status"],
    )


def _stage(raw: dict[str, Any]) -> Stage:
    components = tuple(
        Component(one["name"], tuple(one["command"]), one["ready"], tuple(one["groups"]))
        for one in raw["components"]
    )
    return Stage(components, _commands(raw["then"]))


def _commands(raw: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(command) for command in raw)
