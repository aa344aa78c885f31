"""What must be the same before and after: the objects of the models of a namespace, by version."""

from slipway.api import kinds

from tests.kubectl import Kubectl, Manifest

CHILDREN = (
    kinds.MODEL_DEPLOYMENT,
    kinds.MODEL_ROUTE,
    kinds.CONTROLLER_REVISION,
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.POD_DISRUPTION_BUDGET,
    kinds.NETWORK_POLICY,
    kinds.SERVICE_ACCOUNT,
    kinds.ROLE,
    kinds.POD,
)

Versions = dict[str, tuple[str, int]]
"""resourceVersion and generation, by kind and name; the generation is 0 where a kind has none."""


def versions(kubectl: Kubectl, namespace: str) -> Versions:
    """Return the versions of all that is ours in the namespace.

    Endpoints and the load's own pods live their own lives.
    """
    return {
        f"{kind.kind}/{item['metadata']['name']}": (
            item["metadata"]["resourceVersion"],
            item["metadata"].get("generation", 0),
        )
        for kind in CHILDREN
        for item in kubectl.items(namespace, f"{kind.plural}.{kind.group}".rstrip("."))
        if kind is kinds.MODEL_DEPLOYMENT or is_ours(item)
    }


def changed(before: Versions, after: Versions) -> dict[str, tuple[object, object]]:
    """Return what is not the same, before and after; None where it was not there."""
    both = {key: (before.get(key), after.get(key)) for key in before.keys() | after.keys()}
    return {key: two for key, two in both.items() if two[0] != two[1]}


def leaving(kubectl: Kubectl, namespace: str) -> list[str]:
    """Return the pods of ours that somebody deletes, and those of Jobs that ended."""
    return [
        pod["metadata"]["name"]
        for pod in kubectl.items(namespace, "pods")
        if is_ours(pod)
        and ("deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] == "Succeeded")
    ]


def is_ours(item: Manifest) -> bool:
    """Tell whether Slipway made an object."""
    labels = item["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == "slipway")
