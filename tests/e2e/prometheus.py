"""A real Prometheus beside the models, and an application that counts what models predict."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from slipway.api.names import AGENT_PORT, COMPONENT_ROUTER, LABEL_COMPONENT

from tests.install import release
from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest, until

NAMESPACE = "slipway-prometheus"
"""Where the operator of the tests looks for it: told once, whichever worker has the models."""
NAME = "prometheus"
PORT = 9090
ROUTERS = "routers-by-pod"
PREDICTIONS = "predictions"
PREDICTIONS_PORT = 8000
PEER = {"podSelector": {"matchLabels": {"app": NAME}}}
"""As a NetworkPolicy of its namespace names it."""
READY_SECONDS = 90.0
SEEN = "slipway_router_requests_total"

COUNT = """
import http.server, time
start = time.time()
even, moved = (10, 10, 10, 10), (31, 3, 3, 3)
shares = {"1": even, "2": moved, "3": moved}
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seconds = time.time() - start
        lines = [
            f'predictions_total{{of="{version}",class="{number}"}} {int(seconds * share)}'
            for version, rates in shares.items() for number, share in enumerate(rates)
        ]
        body = ("\\n".join(lines) + "\\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8000), Metrics).serve_forever()
"""
"""Version 1 answers four classes evenly, the others one of them far more often: a large shift."""


def url(namespace: str) -> str:
    """Return where the operator finds it."""
    return f"http://{NAME}.{namespace}.svc:{PORT}"


def provider(namespace: str) -> Manifest:
    """Return values of the chart with this provider."""
    return {"prometheus": [{"name": "main", "url": url(namespace), "timeoutSeconds": 3}]}


@contextmanager
def running(kubectl: Kubectl, namespace: str) -> Iterator[None]:
    """Run both while the body runs; afterwards nothing of them is left."""
    manifests = [*_prometheus(namespace), *_predictions(namespace)]
    kubectl.apply(*manifests)
    try:
        for name in (NAME, PREDICTIONS):
            wait(kubectl, namespace, name)
        until(lambda: knows(kubectl, namespace, SEEN), "Prometheus to see the routers", 60)
        until(lambda: knows(kubectl, namespace, "predictions_total"), "and the predictions", 60)
        yield
    finally:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        kubectl.run("delete", "-f", "-", "--wait=false", "--ignore-not-found", stdin=text)


def scale(kubectl: Kubectl, namespace: str, replicas: int) -> None:
    """Take Prometheus away, or bring it back."""
    words = ("scale", f"deployment/{NAME}", "-n", namespace, f"--replicas={replicas}")
    kubectl.run(*words)


def wait(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Wait until a Deployment is available."""
    kubectl.wait(namespace, f"deployment/{name}", "condition=Available", READY_SECONDS)


def knows(kubectl: Kubectl, namespace: str, query: str) -> bool:
    """Ask Prometheus itself, through the API server."""
    path = f"/api/v1/namespaces/{namespace}/services/{NAME}:{PORT}/proxy/api/v1/query?query={query}"
    return bool(json.loads(kubectl.run("get", "--raw", path))["data"]["result"])


def _prometheus(namespace: str) -> list[Manifest]:
    meta = {"name": NAME, "namespace": namespace, "labels": {"app": NAME}}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"prometheus.yml": json.dumps(_configuration(namespace))},
        },
        _names_of_pods(namespace, ROUTERS, {LABEL_COMPONENT: COMPONENT_ROUTER}),
        _names_of_pods(namespace, PREDICTIONS, {"app": PREDICTIONS}),
        _deployment(meta, _pod(), automountServiceAccountToken=False),
        _service(meta, PORT),
    ]


def _configuration(namespace: str) -> Manifest:
    """Scrape every second what the routers and the application expose.

    Found by DNS: Debian builds Prometheus without the discovery by the Kubernetes API.
    """
    ports = {ROUTERS: AGENT_PORT, PREDICTIONS: PREDICTIONS_PORT}

    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": name,
                "dns_sd_configs": [
                    {
                        "names": [f"{name}.{namespace}.svc.cluster.local"],
                        "type": "A",
                        "port": port,
                        "refresh_interval": "1s",
                    }
                ],
            }
            for name, port in ports.items()
        ],
    }


def _names_of_pods(namespace: str, name: str, selector: dict[str, str]) -> Manifest:
    """Return a Service whose name is resolved to the addresses of the pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"clusterIP": "None", "selector": selector},
    }


def _pod() -> Manifest:
    container = {
        "name": NAME,
        "image": release.images().prometheus,
        "args": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/data",
            f"--web.listen-address=:{PORT}",
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "configuration", "mountPath": "/etc/prometheus", "readOnly": True},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    volumes = [
        {"name": "configuration", "configMap": {"name": NAME}},
        {"name": "data", "emptyDir": {}},
    ]

    return {"containers": [container], "volumes": volumes}


def _predictions(namespace: str) -> list[Manifest]:
    meta = {"name": PREDICTIONS, "namespace": namespace, "labels": {"app": PREDICTIONS}}
    container = {
        "name": PREDICTIONS,
        "image": release.images().operator,
        "command": ["python", "-c", COUNT],
        "ports": [{"name": "counts", "containerPort": PREDICTIONS_PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "counts"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": RESTRICTED,
    }
    return [_deployment(meta, {"containers": [container]}, automountServiceAccountToken=False)]


def _deployment(meta: Manifest, pod: Manifest, **more: bool) -> Manifest:
    spec = {**pod, **more, "terminationGracePeriodSeconds": 1, "securityContext": POD_SECURITY}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": meta["labels"]},
            "template": {"metadata": {"labels": meta["labels"]}, "spec": spec},
        },
    }


def _service(meta: Manifest, port: int) -> Manifest:
    spec = {"selector": meta["labels"], "ports": [{"name": "http", "port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
