"""Requests that waited for a model to wake, in Prometheus' text format; pure."""

from collections.abc import Iterable

from slipway.agent.holding import Holding

_PREFIX = "slipway_router_"


def render_holding(holding: Holding) -> str:
    """Return what waits and what waited; empty where nothing was ever asleep."""
    waiting = [(f'route="{route}"', number) for route, number in holding.waiting().items()]
    held = [(f'route="{route}"', number) for route, number in holding.held.items()]
    refused = [
        (f'route="{route}",reason="{cause}"', number)
        for (route, cause), number in holding.refused.items()
    ]

    lines = [
        *_render("held_requests", "Requests that wait for a model to wake.", "gauge", waiting),
        *_render("held_total", "Requests that had to wait for it.", "counter", held),
        *_render("hold_refused_total", "Requests answered without a replica.", "counter", refused),
    ]
    return "".join(f"{line}\n" for line in lines)


def _render(name: str, help_text: str, kind: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    found = sorted(samples)
    if not found:
        return []
    head = [f"# HELP {_PREFIX}{name} {help_text}", f"# TYPE {_PREFIX}{name} {kind}"]
    return [*head, *(f"{_PREFIX}{name}{{{labels}}} {number}" for labels, number in found)]
