"""Small objects to write: a Deployment that starts no pod, a Service, a Job."""

from typing import Any

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE

LABELS = {names.MANAGED_BY: names.MANAGER, names.LABEL_OWNER: "digits"}


def a_deployment(namespace: str, name: str = "digits", **spec: Any) -> Manifest:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "triton", "image": "triton:1"}]},
    }

    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "labels": LABELS},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "paused": True,
            "template": template,
            **spec,
        },
    }


def a_service_account(namespace: str, name: str = "digits") -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": name, "labels": LABELS},
    }


def a_route(namespace: str, *revisions: str, name: str = "digits") -> Manifest:
    """Return a ModelRoute that gives each of its revisions, one at most, all requests."""
    backends = [{"revision": it, "service": f"{name}-{it}", "weight": 100} for it in revisions]
    return {
        **MODEL_ROUTE.type_meta,
        "metadata": {"namespace": namespace, "name": name, "labels": LABELS},
        "spec": {"port": 10_000, "model": name, "backends": backends},
    }


def a_proxy(weights: dict[str, int]) -> Manifest:
    """Return what a router pod says of a ModelRoute."""
    moment = "2026-01-02T03:04:05.000Z"
    entry = {"name": "router-1", "uid": "u1", "generation": 1, "hash": "", "at": moment}
    return {**entry, "effectiveWeights": weights}


def a_quota(namespace: str, **hard: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"namespace": namespace, "name": "quota"},
        "spec": {"hard": hard},
    }


def a_revision(namespace: str, data: Manifest, name: str = "digits-0a1b2c3d") -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"namespace": namespace, "name": name, "labels": LABELS},
        "revision": 1,
        "data": data,
    }
