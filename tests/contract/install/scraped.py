"""A real Prometheus that scrapes what a cluster exposes, by the chart's own monitors.

The operator's and the router's pages are made by the real parts. Triton's and the kubelet's are
recorded: the first from the server that tests/contract/triton runs and, for its GPU, from Triton's
documentation, the second from the node of the test cluster in a rollout, with other names. Whoever
is asked again has counted everything once more.
"""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.contract.registry import servers
from tests.install import base, helm
from tests.ports import free_port
from tests.unit.manager.exposition import expose, router_page
from tests.unit.reconcile.world import OperatorWorld

PROMETHEUS = shutil.which("prometheus")
RECORDED = Path(__file__).parent / "pages"
COUNTER = re.compile(r"^# TYPE (\w+) counter$", re.MULTILINE)
SAMPLE = re.compile(r"^(?P<name>\w+)(?P<labels>\{.*\}) (?P<value>\S+)( \d+)?$", re.MULTILINE)
"""The kubelet says when it looked, which is long ago."""
SERVERS = {
    "a2c0ae6d": "digits-a2c0ae6d-c84bfbbff-6577t",
    "3728093d": "digits-3728093d-7c985d9c79-skplr",
}
"""Pods of the recorded pages by their revision."""
LONGEST_SECONDS = 60.0

Pages = Callable[[int], bytes]
"""Returns a page by how often it was asked for, from 1."""


class Prometheus:
    """A server that has scraped everything a few times."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series that a query answers with."""
        answer = urllib3.request(
            "GET", f"{self._url}/api/v1/query", fields={"query": query}, timeout=10, retries=False
        )
        assert answer.status == 200, f"{query}: {answer.data.decode()}"
        return [(it["metric"], float(it["value"][1])) for it in answer.json()["data"]["result"]]

    @property
    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return urllib3.request("GET", f"{self._url}/-/ready", timeout=10).status == 200

    def wait(self, query: str) -> None:
        """Wait until a query has an answer."""
        end = time.monotonic() + LONGEST_SECONDS
        while not (self.is_ready and self.ask(query)):
            assert time.monotonic() < end, f"no answer to {query}"
            time.sleep(0.1)


@contextmanager
def scraping(folder: Path, operator: Pages) -> Iterator[Prometheus]:
    """Run Prometheus beside the pages of an operator, a router, two servers and a kubelet."""
    pages: Mapping[str, Pages] = {
        "operator": operator,
        "router": lambda times: router_page(times).encode(),
        **{revision: lambda times: _recorded("triton", times) for revision in SERVERS},
        "kubelet": lambda times: _recorded("cadvisor", times),
    }
    with _serving(pages) as target:
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(_configuration(target)))
        port = free_port()
        with _running(config, folder / "tsdb", port) as prometheus:
            jobs = len(pages)
            prometheus.wait(f"count(count_over_time(up[1m]) >= 3) == {jobs} and min(up) == 1")
            yield prometheus


async def an_operator() -> Pages:
    """Return the page of an operator that promotes, finds a fault, and has a rollout under way."""
    world = OperatorWorld()
    world.clock.pass_on(max(0.0, time.time() - world.clock.seconds()))
    for version in ("1", "2"):
        await world.ask_for(version)
        await world.settle()
    before = expose(world)
    world.durations.seen.clear()

    world.controllers.faults["2"] = "errors"
    await world.until(lambda: "finding" in world.status()["afterPromotion"], 900)
    world.controllers.faults = {"3": "errors"}
    await world.ask_for("3")
    await world.until(lambda: world.outcomes()[-1] == ("3", "RolledBack"))
    await world.live()
    await world.ask_for("4", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: bool(world.status()["rollout"].get("analysis")))
    await world.live(20)

    after = expose(world)
    for exposed, passes in ((before, 1), (after, 2)):
        await exposed.machine.elector.tick()
        for _ in range(passes):
            exposed.metrics.observe_pass("ModelDeployment", "ok", 0.02)
            exposed.metrics.answered("GET", "200", 0.004)
    first, later = before.metrics.expose()(), after.metrics.expose()()
    return lambda times: first if times == 1 else later


def _configuration(target: str) -> Mapping[str, Any]:
    """Return what the Prometheus Operator makes of the chart's monitors, and a scraped kubelet."""
    enabled = {"enabled": True}
    values = {
        **base.VALUES,
        "metrics": {
            "serviceMonitor": enabled,
            "podMonitor": enabled,
            "serverMonitor": enabled,
        },
    }
    text = helm.template(values, show_only=("templates/monitors.yaml",))
    specs = {it["metadata"]["name"]: it["spec"] for it in yaml.safe_load_all(text) if it}
    pods = {name: spec.get("podMetricsEndpoints") for name, spec in specs.items()}
    operator = {"namespace": helm.NAMESPACE, "pod": "slipway-0"}
    scrapes = [
        _scrape("operator", target, specs["slipway"]["endpoints"], operator),
        _scrape("router", target, pods["slipway-routers"], {"namespace": "vision", "pod": "a"}),
        *(
            _scrape(revision, target, pods["slipway-servers"], _describe_server(revision, pod))
            for revision, pod in SERVERS.items()
        ),
        _scrape("kubelet", target, [{"honorLabels": True}], {}),
    ]
    times = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    return {"global": times, "scrape_configs": scrapes}


def _scrape(
    name: str, target: str, endpoints: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return a job for the only endpoint of a monitor."""
    [endpoint] = endpoints
    return {
        "job_name": name,
        "metrics_path": f"/{name}",
        "honor_labels": endpoint.get("honorLabels", False),
        "static_configs": [{"targets": [target], "labels": dict(labels)}],
        "relabel_configs": [
            {_snake(key): value for key, value in rule.items()}
            for rule in endpoint.get("relabelings", ())
        ],
    }


def _describe_server(revision: str, pod: str) -> Mapping[str, str]:
    """Return what Prometheus finds out about a pod before the monitor's own rules."""
    labels = {"modeldeployment": "digits", "revision": revision, "version": f"v{revision}"}
    known = {f"__meta_kubernetes_pod_label_slipway_dev_{it}": labels[it] for it in labels}
    return {"namespace": "vision", "pod": pod, **known}


def _snake(word: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", word)


def _recorded(name: str, times: int) -> bytes:
    """Return a recorded page whose counters have counted everything so many times."""
    text = (RECORDED / f"{name}.txt").read_text()
    counters = set(COUNTER.findall(text))

    def count(sample: re.Match[str]) -> str:
        factor = times if sample["name"] in counters else 1
        return f"{sample['name']}{sample['labels']} {float(sample['value']) * factor}"

    return SAMPLE.sub(count, text).encode()


@contextmanager
def _serving(pages: Mapping[str, Pages]) -> Iterator[str]:
    asked = dict.fromkeys(pages, 0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            asked[name] += 1
            body = pages[name](asked[name])
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{web.server_address[1]}"
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


@contextmanager
def _running(config: Path, storage: Path, port: int) -> Iterator[Prometheus]:
    command = (
        *(PROMETHEUS or "", f"--config.file={config}", f"--storage.tsdb.path={storage}"),
        f"--web.listen-address=127.0.0.1:{port}",
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers.wait_for_port(port, process)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)
