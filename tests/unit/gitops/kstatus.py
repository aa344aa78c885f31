"""kstatus, as Helm 4, Flux and cli-utils compute it for a custom resource.

The rules, in this order: being deleted is Terminating; a generation that was not observed is
InProgress; the first condition that is a true Reconciling (InProgress) or a true Stalled (Failed)
decides; newer versions then go by Ready; whatever says nothing is Current.
Source: cli-utils, pkg/kstatus/status/generic.go and status.go; Flux's fork, which Helm uses, too.
"""

from slipway.api.base import Manifest

FINAL = {"Current", "Failed"}
"""What ends `helm --wait`."""


def compute(object_: Manifest, *, goes_by_ready: bool) -> str:
    """Return the status; `goes_by_ready` as newer versions do."""
    metadata, status = object_["metadata"], object_.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if "generation" in metadata and observed is not None and observed != metadata["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or ()
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return "InProgress"
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return "Failed"
    ready = [entry["status"] for entry in conditions if entry["type"] == "Ready"]
    return "InProgress" if goes_by_ready and ready and ready[0] != "True" else "Current"
