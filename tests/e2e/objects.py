"""The ModelDeployments that the tests apply: one shape, and what a test wants of it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipway.api.names import API_VERSION

from tests.kubectl import Kubectl, Manifest
from tests.models import server
from tests.models.golden import MIN_AGREEMENT
from tests.models.samples import GOLDEN

STAGE = "slipway-e2e"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
NAMESPACE = f"{STAGE}-{WORKER}" if WORKER else STAGE
"""Of this worker: each has a stage of its own, with a router of its own."""
CANDIDATE_HEADER = {"name": "x-model-candidate", "value": "true"}
SMALL: Manifest = {"requests": {"cpu": "20m", "memory": "192Mi"}}
"""Resources with which more than a dozen servers find room on two cores."""

LENIENT: Manifest = {"tolerance": {"absolute": 0.5}, "maxHarm": 0.5}
"""Where a verdict is not the point: on two busy cores anything stalls now and then."""
STRICT_SAMPLES = 100
"""A fault in one of ten requests hides from 30 of them once in 24 times, from so many never."""

HELD = 600
"""holdSeconds of a step that a test ends itself."""


def stages(kubectl: Kubectl) -> list[str]:
    """Return the namespaces that are there, of whichever workers."""
    found = kubectl.run("get", "namespaces", "-o", "name").split()
    names = (each.removeprefix("namespace/") for each in found)
    return [name for name in names if name == STAGE or name.startswith(f"{STAGE}-gw")]


def step(weight: int, *, hold: int = 0, approval: bool = False) -> Manifest:
    """Return one step of a rollout."""
    asked = {"approval": "Required"} if approval else {}
    return {"weight": weight, "holdSeconds": hold, **asked}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A version of a model, and how it is rolled out."""

    version: str
    """Another version is another revision, also of the same bytes."""
    file: str = "digits-2.onnx"
    name: str = "digits"
    namespace: str = NAMESPACE
    files_in: str = NAMESPACE
    """Namespace of the file server."""
    digest: str | None = None
    mode: str = "Image"
    golden: bool = False
    min_agreement: float = MIN_AGREEMENT
    steps: Sequence[Manifest] | None = (step(25), step(50))
    """None: the spec has none."""
    bake_seconds: int = 5
    metrics: Sequence[Manifest] = ()
    """Beside the router's."""
    warm_up: int = 5
    """Another number is another revision, also of the same version; 0: none."""
    strict: bool = False
    """Whether the verdict is the point: enough requests, and the tolerance that users have."""
    scaling: Manifest | None = None
    """spec.scaling; None: one replica."""
    server: Mapping[str, Any] = field(default_factory=dict)
    """More of spec.server."""
    traffic: Mapping[str, Any] = field(default_factory=dict)
    """More of spec.traffic."""
    rollout: Mapping[str, Any] = field(default_factory=dict)
    """More of spec.rollout."""
    rollback: Mapping[str, Any] = field(default_factory=dict)
    """spec.rollback."""
    analysis: Mapping[str, Any] = field(default_factory=dict)
    """More of spec.rollout.analysis, over what is said here."""

    def manifest(self) -> Manifest:
        """Return the whole object."""
        return {
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "model": self._model(),
                "packaging": {"mode": self.mode},
                "server": {"drainSeconds": 5, "resources": SMALL, **self.server},
                "traffic": {"candidateHeader": CANDIDATE_HEADER, **self.traffic},
                "scaling": self.scaling or {},
                "rollback": dict(self.rollback),
                "rollout": {
                    **({} if self.steps is None else {"steps": list(self.steps)}),
                    "bakeSeconds": self.bake_seconds,
                    "shadow": {"mode": "Off"},
                    "analysis": {
                        "intervalSeconds": 1,
                        "warmUpSeconds": 2,
                        "minSamples": STRICT_SAMPLES if self.strict else 30,
                        **({} if self.strict else LENIENT),
                        "metrics": list(self.metrics),
                        **self.analysis,
                    },
                    **self.rollout,
                },
            },
        }

    def _model(self) -> Manifest:
        source = {"uri": server.uri(self.files_in, self.file)}
        model: Manifest = {"version": self.version, "source": source}
        if self.warm_up:
            model["warmup"] = {"requests": self.warm_up}
        if self.digest is not None:
            source["digest"] = self.digest
        if self.golden:
            uri = server.uri(self.files_in, GOLDEN)
            model["goldenSet"] = {"uri": uri, "minAgreement": self.min_agreement}
        return model
