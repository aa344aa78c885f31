"""Whether replicas would find room, as the user's own rights let one see."""

from typing import Any

import pytest
from slipway.cli.room import Room, forecast_room, requests_of

Manifest = dict[str, Any]
GPU = "example.com/gpu"


def a_pod(gpus: int = 1, *, on: str = "", **spec: Any) -> Manifest:
    resources = {"requests": {"cpu": "500m"}, "limits": {GPU: str(gpus)}}
    pod: Manifest = {"containers": [{"name": "triton", "resources": resources}], **spec}
    return {"spec": {**pod, **({"nodeName": on} if on else {})}, "status": {"phase": "Running"}}


def a_node(
    name: str = "a", *, gpus: int = 2, labels: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    allocatable = {"cpu": "4", "memory": "16Gi", "pods": "110", GPU: str(gpus)}
    metadata = {"name": name, "labels": labels or {}}
    return {"metadata": metadata, "spec": spec, "status": {"allocatable": allocatable}}


def fit(
    wanted: int,
    *nodes: Manifest,
    running: tuple[Manifest, ...] = (),
    quotas: tuple[Manifest, ...] = (),
    **spec: Any,
) -> tuple[int, str]:
    count, missing = forecast_room(a_pod(**spec)["spec"], wanted, nodes, running, quotas)
    return count, "; ".join(missing)


def test_what_is_requested_on_a_node_is_not_there_any_more() -> None:
    assert fit(2, a_node()) == (2, "")
    assert fit(2, a_node(), running=(a_pod(on="a"),)) == (1, f"1 of 1 nodes lacks {GPU}")
    ended = {**a_pod(on="a"), "status": {"phase": "Failed"}}
    assert fit(2, a_node(), running=(ended,)) == (2, "")


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("node", "spec", "why"),
    [
        (a_node(unschedulable=True), {}, "1 of 1 nodes is cordoned"),
        (
            a_node(taints=[TAINT]),
            {},
            "1 of 1 nodes has the taint gpu=yes:NoSchedule, which is not tolerated",
        ),
        (a_node(taints=[TAINT]), {"tolerations": [{"key": "gpu", "operator": "Exists"}]}, ""),
        (a_node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), {}, ""),
        (
            a_node(),
            {"nodeSelector": {"disk": "fast"}},
            "1 of 1 nodes does not match the node selector or affinity",
        ),
        (a_node(labels={"disk": "fast"}), {"nodeSelector": {"disk": "fast"}}, ""),
    ],
)
def test_taints_and_selectors_keep_pods_out(node: Manifest, spec: Manifest, why: str) -> None:
    assert fit(1, node, **spec) == (0 if why else 1, why)


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("In", ["l4", "h100"], True),
        ("In", ["t4"], False),
        ("NotIn", ["t4"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_required_affinity_is_held(operator: str, values: list[str], fits: bool) -> None:
    expression = {"key": "card", "operator": operator, "values": values}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    found = fit(1, a_node(labels={"card": "h100"}), affinity={"nodeAffinity": required})
    assert found[0] == int(fits)


def test_nodes_that_lack_the_same_are_counted_together() -> None:
    nodes = (a_node("a", gpus=0), a_node("b", gpus=0), a_node("c", unschedulable=True))
    assert fit(1, *nodes) == (0, f"2 of 3 nodes lack {GPU}; 1 of 3 nodes is cordoned")


def test_a_quota_bounds_what_nodes_have_room_for() -> None:
    name = f"requests.{GPU}"
    quota = {"metadata": {"name": "team"}, "status": {"hard": {name: "3"}, "used": {name: "2"}}}
    found = fit(2, a_node(gpus=8), quotas=(quota,))
    assert found == (1, f"quota team has too little {name} left")


def test_an_init_container_counts_where_it_is_larger() -> None:
    pod = a_pod()["spec"]
    pod["initContainers"] = [{"name": "fetch", "resources": {"requests": {"cpu": "2"}}}]
    assert requests_of(pod)["cpu"] == 2


def test_without_the_nodes_only_quotas_are_told() -> None:
    assert forecast_room(a_pod()["spec"], 2, None, (), ()) == (2, ())


def test_a_sentence_says_how_many_fit_and_what_is_missing() -> None:
    assert Room(2, 2).sentence == "2 of 2 replicas of the candidate fit beside stable's"
    room = Room(4, 1, (f"1 of 1 nodes lacks {GPU}",))
    assert room.sentence == f"1 of 4 replicas of the candidate fit: 1 of 1 nodes lacks {GPU}"
