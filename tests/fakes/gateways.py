"""Gateways in memory: a controller that takes routes, or says why not, as Gateway API has it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from slipway.api import kinds
from slipway.api.base import Manifest

from tests.fakes.api import FakeApi

CONTROLLER = "example.org/gateways"


@dataclass
class FakeGateways:
    """The controller of every Gateway; `step` looks once at every route."""

    api: FakeApi
    is_running: bool = True
    refusals: dict[str, str] = field(default_factory=dict)
    """Message by reason, of the condition Accepted of every route."""
    unresolved: dict[str, str] = field(default_factory=dict)
    """The same, of ResolvedRefs."""

    def __post_init__(self) -> None:
        self.api.not_served -= {kinds.GATEWAY, *kinds.GATEWAY_ROUTES}

    def create(self, namespace: str, name: str, *, allowed: tuple[str, ...] = ("vision",)) -> None:
        """Create a Gateway that takes routes of the namespaces in `allowed`, and runs."""
        manifest = kinds.GATEWAY.manifest(namespace, name, spec={"allowed": list(allowed)})
        made = self.api.create(manifest, manager="somebody")
        programmed = {"type": "Programmed", "status": "True", "observedGeneration": 1}
        self.api.put_status(kinds.GATEWAY, made, {"conditions": [programmed]})

    def step(self) -> None:
        if not self.is_running:
            return
        for kind in kinds.GATEWAY_ROUTES:
            for _, route in list(self.api.all(kind)):
                parents = list(self._answers(route))
                self.api.put_status(kind, route, {"parents": parents})

    def _answers(self, route: Manifest) -> Iterator[Manifest]:
        namespace = route["metadata"]["namespace"]
        for parent in route["spec"]["parentRefs"]:
            gateway = self.api.get(kinds.GATEWAY, parent["namespace"], parent["name"])
            if gateway is None:
                continue

            refusals = dict(self.refusals)
            if namespace not in gateway["spec"]["allowed"]:
                refusals["NotAllowedByListeners"] = "no listener allows this route"
            conditions = [
                _condition(route, "Accepted", refusals),
                _condition(route, "ResolvedRefs", self.unresolved),
            ]
            yield {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}


def _condition(route: Manifest, kind: str, refusals: dict[str, str]) -> Manifest:
    reason, message = next(iter(refusals.items()), (kind, ""))
    return {
        "type": kind,
        "status": "False" if refusals else "True",
        "reason": reason,
        "message": message,
        "observedGeneration": route["metadata"]["generation"],
    }
