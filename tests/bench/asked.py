"""What users ask an operator for, and which objects become of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind

OURS = f"{names.MANAGED_BY}={names.MANAGER}"


@dataclass(frozen=True, slots=True)
class Asked:
    """Objects of one kind that are alike, but for their version."""

    kind: Kind
    spec_of: Callable[[int], Manifest]
    """Version → spec."""
    workloads: tuple[Kind, ...]
    """Kinds of the objects that run a version."""
    children: Mapping[str, int]
    """How many objects become of one, by resource."""
    selector: str = ""
    """Labels of the workloads."""
    cleared: tuple[Kind, ...] = field(default=())
    """Kinds of all that becomes of them."""

    def manifest(self, name: str, namespace: str) -> Manifest:
        """Return one, of the first version."""
        return self.kind.manifest(namespace, name, spec=self.spec_of(1))


def spec_of(version: int) -> Manifest:
    """Return the spec of a ModelDeployment in Fetch mode with its digest pinned."""
    source = {"uri": f"https://models.example/{version}.onnx", "digest": f"sha256:{version:064x}"}
    return {
        "model": {"version": str(version), "source": source},
        "packaging": {"mode": "Fetch"},
        "rollout": {"bakeSeconds": 0, "analysis": {"mode": "Off"}},
    }


MODELS = Asked(
    kinds.MODEL_DEPLOYMENT,
    spec_of,
    workloads=(kinds.DEPLOYMENT, kinds.JOB),
    children={"controllerrevisions": 1, "deployments": 1, "services": 2, "modelroutes": 1},
    selector=OURS,
    cleared=kinds.WATCHED,
)
