"""KEDA and the autoscaler of Kubernetes, as far as they act on ScaledObjects."""

from dataclasses import dataclass, field

from slipway.api import kinds, names
from slipway.api.base import Manifest

from tests.fakes.api import FakeApi


@dataclass
class FakeKeda:
    """Makes an autoscaler for each ScaledObject, and sizes its Deployment as the load asks for.

    KEDA itself (the autoscalers, finalizers and conditions) may stand still while the autoscalers'
    controller goes on: then no trigger can be measured.
    """

    api: FakeApi
    runs: bool = True
    broken: str = ""
    """What is wrong with the triggers; empty: nothing."""
    unmeasured: bool = False
    """Whether the sources of the triggers do not answer."""
    wanted: dict[str, int] = field(default_factory=dict)
    """Replicas by revision that its triggers ask for; 1 where nothing is said."""

    def __post_init__(self) -> None:
        self.api.not_served.discard(kinds.SCALED_OBJECT)

    def step(self) -> None:
        """Let a second pass."""
        if self.runs:
            for _, scaled in list(self.api.all(kinds.SCALED_OBJECT)):
                self._reconcile(scaled)
        for _, autoscaler in list(self.api.all(kinds.HORIZONTAL_POD_AUTOSCALER)):
            self._scale(autoscaler)

    def _reconcile(self, scaled: Manifest) -> None:
        metadata = scaled["metadata"]
        if "deletionTimestamp" in metadata:
            self.api.lingering.discard(metadata["uid"])
            self.api.delete(kinds.SCALED_OBJECT, metadata["namespace"], metadata["name"])
            return

        self.api.lingering.add(metadata["uid"])  # its finalizer
        if self.broken:
            self._say(scaled, "False", "ScaledObjectCheckFailed", self.broken)
            return
        self._make_autoscaler(scaled)
        self._say(scaled, "True", "ScaledObjectReady", "")

    def _say(self, scaled: Manifest, status: str, reason: str, message: str) -> None:
        ready = {"type": "Ready", "status": status, "reason": reason, "message": message}
        self.api.put_status(kinds.SCALED_OBJECT, scaled, {"conditions": [ready]})

    def _make_autoscaler(self, scaled: Manifest) -> None:
        metadata, spec = scaled["metadata"], scaled["spec"]
        owner = {"kind": "ScaledObject", "uid": metadata["uid"], "controller": True}
        name = f"keda-hpa-{metadata['name']}"
        wanted = {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
        }

        kind, namespace = kinds.HORIZONTAL_POD_AUTOSCALER, metadata["namespace"]
        found = self.api.get(kind, namespace, name)
        if found is None:
            made = {"labels": metadata["labels"], "ownerReferences": [owner]}
            self.api.create(
                kind.manifest(namespace, name, metadata=made, spec=wanted), manager="keda"
            )
        elif found["spec"] != wanted:
            self.api.patch(kind, namespace, name, {"spec": wanted}, manager="keda")

    def _scale(self, autoscaler: Manifest) -> None:
        """Do what kube-controller-manager does."""
        metadata, spec = autoscaler["metadata"], autoscaler["spec"]
        place = kinds.DEPLOYMENT, metadata["namespace"], spec["scaleTargetRef"]["name"]
        target = self.api.get(*place)
        if target is None or not target["spec"]["replicas"]:
            return

        present, wanted = target["spec"]["replicas"], target["spec"]["replicas"]
        is_measured = self.runs and not self.unmeasured
        if is_measured:
            wanted = self.wanted.get(metadata["labels"][names.LABEL_REVISION], 1)
        wanted = min(max(wanted, spec["minReplicas"]), spec["maxReplicas"])
        active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
        if not is_measured:
            why = {"reason": "FailedGetExternalMetric", "message": "no metrics from KEDA"}
            active = {"type": "ScalingActive", "status": "False", **why}
        status = {"desiredReplicas": wanted, "conditions": [active]}
        self.api.put_status(kinds.HORIZONTAL_POD_AUTOSCALER, autoscaler, status)
        if wanted != present:
            self.api.patch(*place, {"spec": {"replicas": wanted}}, manager="kube-controller")
