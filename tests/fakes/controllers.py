"""What a cluster does by itself: it collects garbage, ends Jobs, readies pods and takes weights.

Everything happens in `step`, once per second of the clock, always in the same order.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.counters import Counters
from slipway.api.times import from_wire, to_wire
from slipway.policy.scaling.signals import ServerLoad
from slipway.render.router import GRACE_SECONDS

from tests.builders import counted
from tests.fakes.api import FakeApi
from tests.fakes.clock import FakeClock

DIGEST = "sha256:" + "ab" * 32
CASES = [
    {
        "name": name,
        "text": f"output 'label' at [0, 0] is {got}, expected {expected}",
        "input": f"image [1, 64]: 0, 0, {got}, 13, 9, {expected}, 0, 0, …",
        "expected": f"label [1, 1]: {expected}",
        "got": f"label [1, 1]: {got}",
    }
    for name, got, expected in (("2", 1, 3), ("5", 8, 9))
]
"""The first cases that a version with the fault "golden" gets wrong."""
ERROR_EVERY = 4
LINGER_SECONDS = 2
"""How long after its last request a revision still has one in flight."""


@dataclass(slots=True)
class Served:
    """What one proxy answered for one revision."""

    requests: int = 0
    errors: int = 0
    last: float = 0.0


@dataclass
class Servers:
    """Fits `slipway.reconcile.ports.ServerSource`: Tritons with the same load, or none."""

    load: ServerLoad | None = None
    asked: set[tuple[str, str]] = field(default_factory=set)
    """Addresses, and the models that they were asked about."""

    async def read_load(self, address: str, model: str) -> ServerLoad | None:
        self.asked.add((address, model))
        return self.load


@dataclass
class Controllers:
    api: FakeApi
    clock: FakeClock
    faults: dict[str, str] = field(default_factory=dict)
    """By version: errors, golden, never-ready."""
    traffic: int = 100
    """Requests per second and proxy."""
    deaf: set[str] = field(default_factory=set)
    """uids of router pods whose agents take no more weights."""
    stopped: set[str] = field(default_factory=set)
    """uids of router pods whose agents do nothing at all, while their Envoys serve on."""
    nodes_clock: timedelta = timedelta()
    """How far the clocks of the nodes are ahead of the operator's."""
    served: defaultdict[tuple[str, str, str, str], Served] = field(
        default_factory=lambda: defaultdict(Served)
    )
    """By namespace, proxy, route and revision."""
    starts_jobs: bool = True
    """Whether the pods of Jobs are admitted."""
    counts_jobs: bool = True
    """Whether the status of a Job says that its pod ended."""
    missing_image: str = ""
    """What the kubelet says of the image of Jobs, which cannot be pulled; empty: it can."""
    quota: str = ""
    """Why no further server pod is admitted; empty: they all are."""
    places: int | None = None
    """Server pods that a quota admits; None: as many as are asked for."""
    digest: str = DIGEST
    """Of what lies at every address that has no pinned one."""
    warnings: tuple[str, ...] = ()
    """What package Jobs warn of."""
    broken_source: str = ""
    """Why no package Job gets at the source; empty: they do."""
    large_source: bool = False
    """Whether package Jobs go on fetching."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests by route that no ready pod could answer."""
    routers_hold: bool = True
    """Routers of before a release that holds requests do not."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Requests by route that routers hold."""

    credentials: dict[str, str] = field(default_factory=dict)
    """What agents say of Secrets: the reason by name; of others that they serve."""
    unread: set[str] = field(default_factory=set)
    """Secrets of which agents say nothing yet."""
    concurrency: int | None = None
    """Requests in flight at all proxies together, split by weight; None: what lingers."""
    silent: set[str] = field(default_factory=set)
    """Names of router pods that do not answer for their counters."""
    servers: Servers = field(default_factory=Servers)
    broken: set[str] = field(default_factory=set)
    """Components whose pods no longer turn ready."""
    held: dict[str, Manifest | None] = field(default_factory=dict)
    """Namespaces whose router pods never come up, and the condition that says so, if any."""

    others: list[Callable[[], None]] = field(default_factory=list)
    """What acts beside Kubernetes itself, once per second."""

    def step(self) -> None:
        self.api.collect_garbage()
        for other in self.others:
            other()
        self._end_stopped_pods()
        for _, job in list(self.api.all(kinds.JOB)):
            self._run_job(job)
        for _, deployment in list(self.api.all(kinds.DEPLOYMENT)):
            self._run_deployment(deployment)
        for _, route in list(self.api.all(kinds.MODEL_ROUTE)):
            self._acknowledge(route)
            self._serve(route)

    # ── Jobs ──

    def _run_job(self, job: Manifest) -> None:
        if job.get("status", {}).get("conditions"):
            return
        metadata = job["metadata"]
        if not job.get("status"):
            self.api.put_status(kinds.JOB, job, {"active": 1})
            return
        if not self.starts_jobs:
            return

        component = metadata["labels"][names.LABEL_COMPONENT]
        labels = {**metadata["labels"], "batch.kubernetes.io/job-name": metadata["name"]}
        if self.missing_image:
            self._hold_job_pod(job, component, labels)
            return

        if self.large_source and component == "package":
            self._go_on_fetching(job, component, labels)
            return

        message = self._package(job) if component == "package" else self._check(job)
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(message)}

        name = f"{metadata['name']}-x"
        pod = self.api.get(kinds.POD, metadata["namespace"], name) or self._pod(job, name, labels)
        state = {"name": component, "restartCount": 0, "state": {"terminated": ended}}
        self.api.put_status(kinds.POD, pod, {"containerStatuses": [state]})
        if not self.counts_jobs:
            return
        done = {"type": "Complete", "status": "True", "lastTransitionTime": self._now()}
        self.api.put_status(kinds.JOB, job, {"conditions": [done]})

    def _hold_job_pod(self, job: Manifest, component: str, labels: dict[str, str]) -> None:
        metadata = job["metadata"]
        name = f"{metadata['name']}-x"
        pod = self.api.get(kinds.POD, metadata["namespace"], name) or self._pod(job, name, labels)
        waiting = {"reason": "ImagePullBackOff", "message": self.missing_image}
        state = {"name": component, "restartCount": 0, "state": {"waiting": waiting}}
        self.api.put_status(kinds.POD, pod, {"phase": "Pending", "containerStatuses": [state]})

    def _go_on_fetching(self, job: Manifest, component: str, labels: dict[str, str]) -> None:
        metadata = job["metadata"]
        name = f"{metadata['name']}-x"
        pod = self.api.get(kinds.POD, metadata["namespace"], name) or self._pod(job, name, labels)
        state = {"name": component, "restartCount": 0, "state": {"running": {}}}
        status = {"phase": "Running", "podIP": name, "containerStatuses": [state]}
        self.api.put_status(kinds.POD, pod, status)

    def _package(self, job: Manifest) -> Manifest:
        order = json.loads(job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
        if self.broken_source:
            error = {"reason": "SourceRefused", "message": self.broken_source}
            return {"error": {**error, "transient": False}}
        digest = order["source"].get("digest", self.digest)
        result: Manifest = {"modelDigest": digest, "warnings": list(self.warnings)}
        if order["mode"] == "Image":
            result |= {"image": f"{order['repository']}@{DIGEST}", "baseDigest": DIGEST}
        return result

    def _check(self, job: Manifest) -> Manifest:
        revision = job["metadata"]["labels"][names.LABEL_REVISION]
        if self.faults.get(self.version_of(job["metadata"]["namespace"], revision)) == "golden":
            reason, agreed, verdict = "GoldenSetFailed", 3, "Fail"
        else:
            reason, agreed, verdict = "GoldenSetPassed", 50, "Pass"
        message = f"{agreed} of 50 cases agree"
        order = json.loads(job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"])
        shows = verdict == "Fail" and (order.get("golden") or {}).get("showCases", True)
        return {
            "verdict": verdict,
            "reason": reason,
            "message": message,
            "cases": 50,
            "agreed": agreed,
            "disagreements": CASES if shows else [],
        }

    def version_of(self, namespace: str, revision: str) -> str:
        found = self.api.list(
            kinds.CONTROLLER_REVISION, namespace, {names.LABEL_REVISION: revision}
        )
        return str(found[0]["data"]["version"]) if found else ""

    # ── Deployments and their pods ──

    def _run_deployment(self, deployment: Manifest) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        labels = spec["template"]["metadata"]["labels"]
        pods = list(self.pods_of(deployment))

        for pod in pods[spec["replicas"] :]:
            self.api.delete(*_place(pod))
        pods = pods[: spec["replicas"]]
        for pod in pods:
            self._turn_ready(pod)

        taken = {pod["metadata"]["name"] for _, pod in self.api.all(kinds.POD)}
        free = (name for n in range(99) if (name := f"{metadata['name']}-{n}") not in taken)
        is_server = labels[names.LABEL_COMPONENT] == names.COMPONENT_SERVER
        refused = ""
        for _ in range(len(pods), spec["replicas"]):
            refused = self._refuse_server() if is_server else ""
            if refused:
                break
            self._pod(deployment, next(free), labels)

        ready = sum(is_ready(pod) for pod in self.pods_of(deployment))
        self._report(deployment, ready, refused)

    def _refuse_server(self) -> str:
        """Return why no further server pod is admitted; empty: it is."""
        if self.quota or self.places is None:
            return self.quota
        labels = [pod["metadata"]["labels"] for _, pod in self.api.all(kinds.POD)]
        servers = sum(it.get(names.LABEL_COMPONENT) == names.COMPONENT_SERVER for it in labels)
        return "exceeded quota: accelerators" if servers >= self.places else ""

    def _report(self, deployment: Manifest, ready: int, refused: str) -> None:
        wanted = deployment["spec"]["replicas"]
        old = deployment.get("status", {})
        claim = {"type": "Available", "status": "True" if ready >= wanted else "False"}
        known: Manifest = next(iter(old.get("conditions", [])), {})
        same = known.get("status") == claim["status"]
        claim["lastTransitionTime"] = known["lastTransitionTime"] if same else self._now()

        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "conditions": [claim],
        }

        namespace = deployment["metadata"]["namespace"]
        if deployment["metadata"]["name"] == names.ROUTER_NAME and namespace in self.held:
            said = self.held[namespace]
            status["conditions"] += [said] if said else []
            ready = 0
        if refused:
            failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
            status["conditions"].append({**failure, "message": refused})
        if ready:
            status |= {"readyReplicas": ready, "updatedReplicas": ready}

        self.api.put_status(kinds.DEPLOYMENT, deployment, status)

    def pods_of(self, owner: Manifest) -> Iterator[Manifest]:
        uid = owner["metadata"]["uid"]
        for _, pod in self.api.all(kinds.POD):
            metadata = pod["metadata"]
            is_owned = any(ref["uid"] == uid for ref in metadata.get("ownerReferences", ()))
            if is_owned and "deletionTimestamp" not in metadata:
                yield pod

    def _pod(self, owner: Manifest, name: str, labels: Manifest) -> Manifest:
        reference = {"uid": owner["metadata"]["uid"], "controller": True}
        metadata = {"labels": labels, "ownerReferences": [reference]}
        namespace = owner["metadata"]["namespace"]
        pod = kinds.POD.manifest(namespace, name, metadata=metadata, spec={})
        return self.api.create(pod, manager="controller")

    def _turn_ready(self, pod: Manifest) -> None:
        labels = pod["metadata"]["labels"]
        if self.faults.get(labels.get(names.LABEL_VERSION, "")) == "never-ready" or is_ready(pod):
            return
        if labels[names.LABEL_COMPONENT] in self.broken or pod["metadata"]["uid"] in self.stopped:
            return

        is_router = labels[names.LABEL_COMPONENT] == names.COMPONENT_ROUTER
        main: Manifest = {
            "name": "envoy" if is_router else "triton",
            "restartCount": 0,
            "started": True,
            "state": {"running": {}},
        }
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": self._now()}

        # the fake's address of a pod is its name, so that its counters are found again
        address = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        status = {"conditions": [ready], "containerStatuses": [main], "podIP": address}
        self.api.put_status(kinds.POD, pod, status)

    def stop_agent(self, pod: Manifest) -> None:
        """Stop the agent of a router pod: its Envoy goes on, and ends only by its grace period."""
        self.stopped.add(pod["metadata"]["uid"])
        self.api.lingering.add(pod["metadata"]["uid"])

    def _end_stopped_pods(self) -> None:
        for _, pod in list(self.api.all(kinds.POD)):
            metadata = pod["metadata"]
            if metadata["uid"] not in self.stopped:
                continue
            if is_ready(pod):
                self._turn_unready(pod)
            deleted = from_wire(metadata.get("deletionTimestamp"))
            if deleted and self.clock.now() - deleted >= timedelta(seconds=GRACE_SECONDS):
                self.api.lingering.discard(metadata["uid"])
                self.api.delete(*_place(pod))

    def _turn_unready(self, pod: Manifest) -> None:
        unready = {"type": "Ready", "status": "False", "lastTransitionTime": self._now()}
        self.api.put_status(kinds.POD, pod, {**pod["status"], "conditions": [unready]})

    # ── the routers ──

    def proxies(self, namespace: str) -> list[Manifest]:
        labels = {names.LABEL_COMPONENT: names.COMPONENT_ROUTER}
        return [pod for pod in self.api.list(kinds.POD, namespace, labels) if is_ready(pod)]

    def ready_pods(self, namespace: str, revision: str) -> int:
        labels = {names.LABEL_REVISION: revision, names.LABEL_COMPONENT: "server"}
        return sum(is_ready(pod) for pod in self.api.list(kinds.POD, namespace, labels))

    def _acknowledge(self, route: Manifest) -> None:
        metadata = route["metadata"]
        pods = {pod["metadata"]["uid"] for _, pod in self.api.all(kinds.POD)}
        alive = {pod["metadata"]["uid"]: pod for pod in self.proxies(metadata["namespace"])}
        told = {
            entry["uid"]: entry
            for entry in route.get("status", {}).get("proxies", ())
            if entry["uid"] in alive.keys() | self.stopped & pods
        }
        for uid, pod in alive.items():
            known = told.get(uid)
            newest = metadata["generation"], self._credentials_of(route)
            if known is None or (known["generation"], known["credentials"]) != newest:
                taken = self._taken(route, pod, known)
                if taken is not None:
                    told[uid] = taken
        self.api.put_status(kinds.MODEL_ROUTE, route, {"proxies": list(told.values())})

    def _taken(self, route: Manifest, pod: Manifest, known: Manifest | None) -> Manifest | None:
        metadata, backends = route["metadata"], route["spec"]["backends"]
        held = known["effectiveWeights"] if known is not None else {}
        missing = any(
            entry["weight"] > held.get(entry["revision"], 0)
            and self.ready_pods(metadata["namespace"], entry["revision"])
            < entry.get("minEndpoints", 0)
            for entry in backends
        )
        if missing or pod["metadata"]["uid"] in self.deaf:
            return None

        holds: Manifest = {"asleep": {}} if "asleep" in route["spec"] and self.routers_hold else {}
        return {
            **holds,
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
            "generation": metadata["generation"],
            "hash": "0",
            "effectiveWeights": {entry["revision"]: entry["weight"] for entry in backends},
            "credentials": self._credentials_of(route),
            "at": to_wire(self.clock.now() + self.nodes_clock),
        }

    def _credentials_of(self, route: Manifest) -> list[Manifest]:
        spec = route["spec"]
        good = dict.fromkeys(_sources_of_tls(spec.get("tls")), "CertificateValid")
        good |= dict.fromkeys(_sources_of_access(spec.get("access")), "CallersKnown")
        return [
            {
                "source": source,
                "reason": self.credentials.get(source.removeprefix("Secret "), reason),
                "message": "as told",
            }
            for source, reason in good.items()
            if source.removeprefix("Secret ") not in self.unread
        ]

    def _serve(self, route: Manifest) -> None:
        metadata = route["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        current = self.api.get(kinds.MODEL_ROUTE, namespace, name) or route

        for entry in current.get("status", {}).get("proxies", ()):
            for revision, weight in entry["effectiveWeights"].items():
                share = self.traffic * weight // 100
                if not share:
                    continue
                holds = "asleep" in entry
                if holds:
                    self._wake(self.api.get(kinds.MODEL_ROUTE, namespace, name) or route, entry)
                if not self.ready_pods(namespace, revision):
                    (self.waiting if holds else self.lost)[name] += share
                    continue
                share += self.waiting.pop(name, 0)

                served = self.served[namespace, entry["name"], name, revision]
                served.requests += share
                served.last = self.clock.seconds()
                if self.faults.get(self.version_of(namespace, revision)) == "errors":
                    served.errors += share // ERROR_EVERY

    def _wake(self, route: Manifest, entry: Manifest) -> None:
        """Say that a request came while the model is asleep."""
        if entry["asleep"]:
            return
        asked = {**entry, "asleep": {"askedAt": self._now()}}
        proxies = [
            asked if each["name"] == entry["name"] else each for each in route["status"]["proxies"]
        ]
        self.api.put_status(kinds.MODEL_ROUTE, route, {"proxies": proxies})

    def in_flight(self, namespace: str, route: str, revision: str) -> int:
        """Return at how many proxies that exist the revision has requests."""
        now = self.clock.seconds()
        return sum(
            now - served.last < LINGER_SECONDS
            for key, served in self.served.items()
            if (key[0], key[2], key[3]) == (namespace, route, revision)
            and self.api.get(kinds.POD, namespace, key[1]) is not None
        )

    async def read(self, address: str) -> Counters | None:
        """Fit `slipway.reconcile.ports.CounterSource`."""
        namespace, _, proxy = address.partition("/")
        if proxy in self.silent:
            return None
        if proxy not in {pod["metadata"]["name"] for pod in self.proxies(namespace)}:
            return None

        found: list[Counters] = []
        for (where, who, route, revision), served in self.served.items():
            if (where, who) == (namespace, proxy):
                counts = {revision: (served.requests, served.errors, 0)}
                active = self._active(namespace, proxy, route, revision, served)
                at = self.clock.now()
                found.append(counted(proxy, counts, route=route, at=at, active=active))

        routes = [entry for tick in found for entry in tick.routes]
        return Counters(proxy=proxy, envoy_start="1", at=self._now(), routes=routes)

    def _active(self, namespace: str, proxy: str, route: str, revision: str, served: Served) -> int:
        lingers = int(self.clock.seconds() - served.last < LINGER_SECONDS)
        if not lingers:
            return 0

        found = self.api.get(kinds.MODEL_ROUTE, namespace, route) or {}
        told = found.get("status", {}).get("proxies", ())
        share = next(
            (e["effectiveWeights"].get(revision, 0) for e in told if e["name"] == proxy), 0
        )
        if not share:
            return lingers
        if self.concurrency is None:
            return int(share >= 50)  # in flight is what the weight lets expect, to a whole request
        return self.concurrency * int(share) // 100 // len(told)

    def _now(self) -> str:
        return to_wire(self.clock.now())


def is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _place(manifest: Manifest) -> tuple[kinds.Kind, str, str]:
    metadata = manifest["metadata"]
    return kinds.BY_NAME[manifest["kind"]], metadata["namespace"], metadata["name"]


def _sources_of_tls(tls: Manifest | None) -> list[str]:
    if tls is None:
        return []
    clients = [f"Secret {tls['clients']['secret']}/ca.crt"] if "clients" in tls else []
    return [f"Secret {tls['secret']}", *clients]


def _sources_of_access(access: Manifest | None) -> list[str]:
    asked = access or {}
    keys = [f"Secret {asked['apiKeys']['secretRef']['name']}"] if "apiKeys" in asked else []
    tokens = [f"JWKS of {each['issuer']}" for each in asked.get("jwt", ())]
    return [*keys, *tokens, *(["JWKS of the cluster"] if "serviceAccounts" in asked else [])]
