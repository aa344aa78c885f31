"""What the router costs: the same server asked through it, and directly."""

import json
from collections.abc import Mapping
from pathlib import Path

from slipway.api.names import revision_name

from tests.bench.cluster.scene import NAMESPACE, Scene, a_model
from tests.bench.table import Figure
from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest, until

NAME = "plain"
POD = "sender"
PLACE = "/srv/sender"
CONNECTIONS = (1, 16)
TURN_SECONDS = 4.0


def measure_router(scene: Scene, rounds: int) -> list[Figure]:
    """Return latency and throughput by both ways."""
    with scene.serving(a_model(NAME, "1", "digits-2.onnx")) as deployed:
        direct = revision_name(NAME, deployed.stable_revision)
        path = f"v2/models/{NAME}/infer"
        urls = {name: f"http://{name}:8000/{path}" for name in (direct, NAME)}
        rows = _run_sender(scene, urls, rounds)

    figures = []

    for connections in CONNECTIONS:
        by_name = {row["name"]: row for row in rows if row["connections"] == connections}
        plain, routed = by_name[direct], by_name[NAME]
        of = f"{connections} connection{'s' if connections > 1 else ''}"
        added = "router, added to"
        figures += [
            Figure(
                f"{added} p50, {of}", float(routed["p50_millis"]) - float(plain["p50_millis"]), "ms"
            ),
            Figure(
                f"{added} p99, {of}", float(routed["p99_millis"]) - float(plain["p99_millis"]), "ms"
            ),
            Figure(f"  direct p50, {of}", float(plain["p50_millis"]), "ms"),
            Figure(f"  answers through the router, {of}", float(routed["per_second"]), "/s"),
            Figure(
                f"  of those without it, {of}",
                100 * float(routed["per_second"]) / float(plain["per_second"]),
                "%",
            ),
        ]
    return figures


def _run_sender(scene: Scene, urls: Mapping[str, str], rounds: int) -> list[dict[str, float | str]]:
    image = scene.samples.load[0].round(4).tolist()
    tensor = {"name": "image", "shape": [1, len(image)], "datatype": "FP32", "data": image}
    plan = {
        "urls": dict(urls),
        "connections": CONNECTIONS,
        "seconds": TURN_SECONDS,
        "rounds": rounds,
        "request": {"inputs": [tensor]},
    }
    seconds = rounds * len(urls) * len(CONNECTIONS) * TURN_SECONDS
    kubectl = scene.kubectl
    kubectl.apply(*_render_sender(scene.image, plan))
    until(lambda: _is_over(kubectl), "the sender's answers", seconds + 90)
    return list(json.loads(kubectl.run("logs", POD, "-n", NAMESPACE).splitlines()[-1]))


def _is_over(kubectl: Kubectl) -> bool:
    pod = kubectl.get(NAMESPACE, "pod", POD) or {}
    phase = pod.get("status", {}).get("phase")
    if phase == "Failed":
        raise RuntimeError(kubectl.run("logs", POD, "-n", NAMESPACE)[-2000:])
    return bool(phase == "Succeeded")


def _render_sender(image: str, plan: object) -> list[Manifest]:
    metadata = {"name": POD, "namespace": NAMESPACE}
    program = Path(__file__).with_name("sender.py").read_text()
    data = {"sender.py": program, "plan.json": json.dumps(plan)}
    container = {
        "name": POD,
        "image": image,
        "command": ["python", f"{PLACE}/sender.py", f"{PLACE}/plan.json"],
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "program", "mountPath": PLACE, "readOnly": True}],
    }

    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": POD}}],
    }

    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]
