"""A Deployment that runs Triton, with the Services and the HorizontalPodAutoscaler of its own."""

from collections.abc import Iterable, Mapping
from typing import Any

from slipway.cli.takeover.pod import take_template
from slipway.cli.takeover.takeover import Takeover, begin_takeover

ENDPOINT_PORTS = frozenset({8000, 8001})


def import_deployment(old: Mapping[str, Any], around: Iterable[Mapping[str, Any]]) -> Takeover:
    """Return the draft for a Deployment; `around` are other objects of its namespace."""
    draft = begin_takeover(old)
    take_template(draft, old["spec"]["template"], "spec.template")
    take_surroundings(draft, old, around)
    return draft


def take_surroundings(
    draft: Takeover, old: Mapping[str, Any], around: Iterable[Mapping[str, Any]]
) -> None:
    """Take over replicas, autoscaler and the names of the Services of a workload."""
    draft.put("scaling.minReplicas", old["spec"].get("replicas"))
    labels = old["spec"]["template"].get("metadata", {}).get("labels", {})
    for other in around:
        if other["kind"] == "HorizontalPodAutoscaler" and _scales(other, old):
            _take_autoscaler(draft, other)
        elif other["kind"] == "Service" and _selects(other, labels):
            _take_service(draft, other)


def _scales(autoscaler: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    target = autoscaler["spec"]["scaleTargetRef"]
    return (target["kind"], target["name"]) == (old["kind"], old["metadata"]["name"])


def _selects(service: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and selector.items() <= labels.items()


def _take_autoscaler(draft: Takeover, autoscaler: Mapping[str, Any]) -> None:
    """Take over bounds, and a target of CPU or memory; the built-in engine has others."""
    spec, where = autoscaler["spec"], f"HorizontalPodAutoscaler/{autoscaler['metadata']['name']}"
    draft.put("scaling.minReplicas", spec.get("minReplicas", 1))
    draft.put("scaling.maxReplicas", spec["maxReplicas"])
    draft.leave(where, "delete it with the old workload: Slipway makes its own")

    metrics = spec.get("metrics", [])
    found = [it["resource"] for it in metrics if _is_share_of_request(it)]
    if found:
        draft.put("scaling.engine", "HPA")
        draft.put("scaling.target.resource", {"cpu": "CPU"}.get(found[0]["name"], "Memory"))
        percent = found[0]["target"]["averageUtilization"]
        draft.put("scaling.target.utilizationPercent", percent)
    if len(metrics) > len(found[:1]):
        draft.leave(f"{where} spec.metrics", "one target of CPU or memory in percent is taken")


def _is_share_of_request(metric: Mapping[str, Any]) -> bool:
    resource = metric.get("resource", {})
    return resource.get("name") in {"cpu", "memory"} and "averageUtilization" in resource["target"]


def _take_service(draft: Takeover, service: Mapping[str, Any]) -> None:
    name = service["metadata"]["name"]
    draft.services.append(name)
    ports = {port["port"] for port in service["spec"].get("ports", ())}
    others = sorted(ports - ENDPOINT_PORTS)
    if others:
        listed = ", ".join(map(str, others))
        draft.leave(f"Service/{name} port {listed}", "clients reach Slipway at 8000 and 8001")
