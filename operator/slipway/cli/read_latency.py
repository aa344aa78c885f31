"""Reads where the milliseconds of a model's answers go, with the user's own rights.

Twice, because the pages count since their process started. That needs what
`slipway.cli.router_pages` says.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from slipway.api.counters import Counters
from slipway.api.names import (
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    LABEL_REVISION,
    TRITON_METRICS_PORT,
)
from slipway.api.reasons import Why
from slipway.api.triton_metrics import PATH, parse_samples
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl, Manifest
from slipway.cli.latency import (
    SERVER_METRICS,
    LatencyReading,
    ServerTimes,
    compare_readings,
    read_routers,
    read_server,
)
from slipway.cli.latency_report import LatencyReport
from slipway.cli.objects import ModelDeployment
from slipway.cli.router_pages import list_router_pods, read_counters, read_page

WINDOW_SECONDS = 1.5
"""Between the readings: some requests of a model that is in use, and no long wait for the user."""
MOST_SERVERS = 8
"""Pods of each revision that are asked."""
AT_ONCE = 8
RIGHT = "pods/proxy"


class LatencyReader:
    """Reads the pages of one model's pods, once when it is made and once for the report."""

    def __init__(self, kubectl: Kubectl, md: ModelDeployment) -> None:
        self._kubectl, self._md = kubectl, md
        self._routers: list[str] = []
        self._servers: list[tuple[str, str]] = []
        self._left_out = 0
        self._before: LatencyReading | str | None = None
        if md.stable is not None or md.candidate is not None:
            self._before = self._begin()

    def report(self) -> LatencyReport | str | None:
        """Return what came since the first reading, or why that is not known.

        None: nothing serves, or no request has come.
        """
        before = self._before
        if before is None or isinstance(before, str):
            return before

        time.sleep(max(0.0, before.at + WINDOW_SECONDS - time.monotonic()))
        try:
            return compare_readings(before, self._read())
        except CliError as error:
            return _not_shown(error)

    def _begin(self) -> LatencyReading | str:
        """Find the pods, and read them for the first time."""
        try:
            self._routers = list_router_pods(self._kubectl, self._md.namespace)
            self._servers, self._left_out = _list_servers(self._kubectl, self._md)
            return self._read()
        except CliError as error:
            return _not_shown(error)

    def _read(self) -> LatencyReading:
        """Read all pages at once, so that they are of the same moment."""
        at = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            servers = pool.map(self._read_server, (pod for _, pod in self._servers))
            routers = pool.map(self._read_router, self._routers)
            reading = read_routers(routers, self._md.name, at)
            answered = zip(self._servers, servers, strict=True)
            times = {key: found for key, found in answered if found is not None}
        return replace(reading, servers=times, left_out=self._left_out)

    def _read_router(self, pod: str) -> Counters:
        return read_counters(self._kubectl, self._md.namespace, pod)

    def _read_server(self, pod: str) -> ServerTimes | None:
        """Return what one server has counted; None where it does not say."""
        try:
            page = read_page(self._kubectl, self._md.namespace, pod, TRITON_METRICS_PORT, PATH)
        except CliError:
            return None
        samples = parse_samples(page.encode(), self._md.served_name, SERVER_METRICS)
        return None if isinstance(samples, Why) else read_server(samples)


def _not_shown(error: CliError) -> str:
    """Viewers lack the right, and see this line each time: the API server's own is three long."""
    if RIGHT in error.message:
        return f"not shown: you lack the right `get {RIGHT}` here, which the role `edit` has"
    return f"not shown: {error.message}"


def _list_servers(kubectl: Kubectl, md: ModelDeployment) -> tuple[list[tuple[str, str]], int]:
    """Return the ready pods of both revisions that are asked, and how many are not."""
    selector = f"{LABEL_OWNER}={md.name},{LABEL_COMPONENT}={COMPONENT_SERVER}"
    found = kubectl.json("get", "pods", "-l", selector, namespace=md.namespace).get("items", ())
    ready: dict[str, list[str]] = {}
    for pod in found:
        if _is_ready(pod):
            revision = pod["metadata"]["labels"].get(LABEL_REVISION, "")
            ready.setdefault(revision, []).append(pod["metadata"]["name"])

    asked = [(key, pod) for key, pods in ready.items() for pod in sorted(pods)[:MOST_SERVERS]]
    return asked, sum(map(len, ready.values())) - len(asked)


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)
