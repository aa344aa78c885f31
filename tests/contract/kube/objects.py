"""Small objects to write: a Deployment that starts no pod, a Service, a Job."""

from typing import Any

from slipway.api import names
from slipway.api.base import Manifest

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
