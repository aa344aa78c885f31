"""Requests that were refused before any model saw them, by route and status; no matter of a model.

Envoy counts them where it refuses them, and apart from what its clusters count.
"""

from collections import Counter
from collections.abc import Iterable

from slipway.agent.admin import Stat
from slipway.api.counters import Denied
from slipway.render.access import DENIED_PREFIX

_STATUS_OF_GRPC = {"16": 401, "7": 403, "8": 429}
"""HTTP's word for what a gRPC client was told."""


def read_denials(stats: Iterable[Stat]) -> list[Denied]:
    """Return the counts of ``<prefix>route.<route>.status.<HTTP>.grpc.<gRPC>``."""
    found: Counter[tuple[str, int]] = Counter()
    for stat in stats:
        name = str(stat.get("name", ""))
        if not name.startswith(DENIED_PREFIX):
            continue
        _, route, _, status, _, grpc = name.removeprefix(DENIED_PREFIX).split(".")
        found[route, _STATUS_OF_GRPC.get(grpc) or int(status)] += int(stat["value"])

    return [
        Denied(name=route, status=status, requests=count)
        for (route, status), count in sorted(found.items())
    ]


def render_denials(denied: Iterable[Denied], prefix: str) -> list[str]:
    """Return the same numbers as lines of Prometheus' text format."""
    name = f"{prefix}denied_total"
    head = [f"# HELP {name} Requests refused before any model.", f"# TYPE {name} counter"]
    return [
        *head,
        *(
            f'{name}{{route="{each.name}",status="{each.status}"}} {each.requests}'
            for each in denied
        ),
    ]
