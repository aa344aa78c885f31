"""The world of the operator: a cluster in memory, and a real operator that may be killed.

Asked here is **what is written**, and what users and other programs see of it. Real: cache, feed,
queue, worker, projections, passes, decisions and manifests. Not real: the API server, what runs in
pods, and time, which goes on by whole seconds. What is decided from which facts is asked in
`tests.unit.policy.world`; what both can be asked is in `tests.unit.worlds`.
"""

import asyncio
import copy
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.engine.cache import Cache
from slipway.engine.queue import WorkQueue
from slipway.engine.worker import Worker
from slipway.manager.feed import Feed
from slipway.manager.wiring import build_reconcilers, rollout_keys
from slipway.policy.audit import AuditLine
from slipway.policy.durations import Duration, Span
from slipway.reconcile.ports import Ports
from slipway.reconcile.projections import project_object
from slipway.settings import PrometheusServer, RouterSettings, Settings

from tests.fakes.api import Change, FakeApi
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeCluster, Trouble, Write
from tests.fakes.controllers import Controllers
from tests.fakes.pairs import FakePairs
from tests.fakes.sources import FakeDownloads, FakeFailures, FakeHooks, FakePrometheus
from tests.unit.worlds import Killed, RolloutWorld

SETTINGS = Settings(
    operator_image="slipway:1",
    router=RouterSettings(envoy_image="envoy:1"),
    prometheus=[PrometheusServer(name="main", url="http://prometheus:9090")],
)
QUIET_SECONDS = 75
"""Longer than every wait that is not a clock of its own: 60 s for a router that nobody wants."""
MOST_PASSES = 100
"""Per second of the clock: more is a pass that asks for itself for ever."""
MOST_PROJECTED = 1_000
"""Manifests of which is remembered what is kept of them."""
NAMESPACE = "vision"
PINNED = "sha256:" + "ab" * 32


@dataclass
class Events:
    """Fits `slipway.reconcile.ports.Recorder`."""

    told: list[str] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)
    """The newest by reason."""
    kills_before: str = ""
    """The process is killed when it is about to record an event of this reason."""

    async def record(
        self, regarding: Manifest, *, warning: bool, reason: str, message: str
    ) -> None:
        del regarding
        if reason == self.kills_before:
            raise Killed
        self.messages[reason] = message
        self.told.append(f"{'Warning' if warning else 'Normal'} {reason}")


@dataclass
class Told:
    """Fits `slipway.reconcile.ports.AuditReceiver`."""

    lines: dict[str, AuditLine] = field(default_factory=dict)
    """By id; the first of each counts."""
    kills_before: str = ""
    """The process is killed when it is about to tell of this type."""
    is_on = True

    def offer(self, lines: Iterable[AuditLine]) -> None:
        for line in lines:
            if line.type == self.kills_before and "recalled" not in line.fields:
                raise Killed
            self.lines.setdefault(line.id, line)

    def of_type(self, wanted: str) -> list[AuditLine]:
        return [line for line in self.lines.values() if line.type == wanted]


@dataclass
class Durations:
    """Fits `slipway.reconcile.ports.DurationObserver`; of all operators that there were."""

    seen: list[Duration] = field(default_factory=list)

    def observe_duration(self, duration: Duration) -> None:
        self.seen.append(duration)

    def of(self, span: Span) -> list[tuple[str, float]]:
        return [(it.subject, it.seconds) for it in self.seen if it.span is span]


@dataclass
class Passes:
    """Fits `slipway.engine.worker.Observer`."""

    results: Counter[str] = field(default_factory=Counter)

    def observe_pass(self, kind: str, result: str, seconds: float) -> None:
        del kind, seconds
        self.results[result] += 1


@dataclass
class Fakes:
    """Sources beside the routers."""

    prometheus: FakePrometheus
    failures: FakeFailures
    hooks: FakeHooks
    downloads: FakeDownloads
    pairs: FakePairs


class Projections:
    """What is kept of manifests, which are never changed in place: forks find the same ones."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Manifest, object]] = {}

    def project(self, kind: kinds.Kind, manifest: Manifest) -> object:
        known = self._known.get(id(manifest))
        if known is None:
            if len(self._known) >= MOST_PROJECTED:
                self._known.clear()
            # The manifest is kept too: the id of one that is gone may become another's.
            known = self._known[id(manifest)] = (manifest, project_object(kind, manifest))
        return known[1]


class Operator:
    """One process of the operator: what it knows is gone when it is."""

    def __init__(
        self,
        api: FakeApi,
        controllers: Controllers,
        clock: FakeClock,
        epoch: str,
        trouble: Trouble,
        *,
        settings: Settings,
        sources: "Fakes",
        durations: "Durations",
        projections: Projections,
    ) -> None:
        self.cache = Cache()
        self.queue = WorkQueue(now=clock.seconds, chance=lambda: 0.5)
        self.feed = Feed(
            self.cache,
            self.queue,
            project=projections.project,
            rollouts=lambda namespace: rollout_keys(self.cache, namespace),
        )

        self.cluster = FakeCluster(api, on_written=self.feed.on_written, trouble=trouble)
        self.events = Events()
        self.told = Told()
        self.passes = Passes()
        self.durations = durations

        ports = Ports(
            cluster=self.cluster,
            counters=controllers,
            downloads=sources.downloads,
            pairs=sources.pairs,
            servers=controllers.servers,
            metrics=sources.prometheus,
            failures=sources.failures,
            hooks=sources.hooks,
            recorder=self.events,
            audit=self.told,
            durations=self.durations,
            clock=clock,
            epoch=lambda: epoch,
        )

        reconcilers = build_reconcilers(settings, ports, self.cache, wake=self.queue.add)
        self.worker = Worker(self.queue, reconcilers, gate=_open_gate, observer=self.passes)

        for kind, manifest in api.all():
            self.hear(Change(kind, None, manifest))

    def hear(self, change: Change) -> None:
        if not change.is_watched:
            return
        if change.after is None:
            self.feed.on_gone(change.kind, change.manifest)
        else:
            self.feed.on_seen(change.kind, change.manifest)

    async def work(self, heard: Callable[[], None]) -> None:
        """Run the passes that are due; before each, the watches tell what they know."""
        for _ in range(MOST_PASSES):
            heard()
            key = self.queue.take()
            if key is None:
                return
            await self.worker.process(key)
        raise AssertionError("some key never comes to rest")


async def _open_gate() -> None:
    pass


class OperatorWorld(RolloutWorld):
    """Everything there is; a fork of it goes its own way."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.api = FakeApi(self.clock)
        self.controllers = Controllers(self.api, self.clock)
        self.prometheus, self.failures, self.hooks = FakePrometheus(), FakeFailures(), FakeHooks()
        self.downloads = FakeDownloads()
        self.pairs = FakePairs()
        self.trouble = Trouble()
        self.leaders = 0
        self.settings = SETTINGS

        self.broken: list[str] = []
        """Promises that the recorded history breaks."""
        self.writes: list[Write] = []
        self.weight_log: list[dict[str, int]] = []
        """By version, of digits."""
        self.results: Counter[str] = Counter()
        self.durations = Durations()
        self.projections = Projections()

        self.api.witness = self._witness
        self.start()

    # ── the operator ──

    def start(self) -> None:
        """Start a fresh process, which becomes the leader."""
        self.leaders += 1
        epoch = f"{self.leaders}.operator"
        self.operator = Operator(
            self.api,
            self.controllers,
            self.clock,
            epoch,
            self.trouble,
            settings=self.settings,
            sources=Fakes(self.prometheus, self.failures, self.hooks, self.downloads, self.pairs),
            durations=self.durations,
            projections=self.projections,
        )
        self.operator.cluster.writes = self.writes
        self.operator.passes.results = self.results

    def fork(self) -> "OperatorWorld":
        """Return a world like this one, as a fresh operator finds it."""
        twin = OperatorWorld()
        twin.clock = FakeClock(self.clock.now())
        twin.api = self.api.fork(twin.clock)
        twin.api.witness = twin._witness
        served = copy.deepcopy(self.controllers.served)
        twin.controllers = replace(self.controllers, api=twin.api, clock=twin.clock, served=served)
        twin.controllers.lost = Counter(self.controllers.lost)
        twin.leaders = self.leaders
        twin.projections = self.projections
        twin.start()
        return twin

    async def work(self) -> None:
        """Tell what the watches know, and run the passes that are due; a kill brings a restart."""
        try:
            await self.operator.work(self._tell)
        except Killed:
            self.api.watch.clear()
            self.start()
            await self.work()
        assert not self.results["bug"]

    async def at_once(self) -> None:
        """Run the passes that are due, all at the same time."""
        keys = []
        while (key := self.operator.queue.take()) is not None:
            keys.append(key)
        await asyncio.gather(*(self.operator.worker.process(key) for key in keys))

    def _tell(self) -> None:
        while self.api.watch:
            self.operator.hear(self.api.watch.popleft())

    async def live(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.clock.pass_on(1)
            self.controllers.step()
            await self.work()
            assert not self.broken, self.broken

    async def until(self, is_so: Callable[[], bool], seconds: int = 400) -> None:
        for _ in range(seconds):
            if is_so():
                return
            await self.live()
        raise AssertionError(f"not so after {seconds} s: {self.status().get('conditions')}")

    async def settle(self, seconds: int = 900, *, quiet_seconds: int = QUIET_SECONDS) -> None:
        """Let time pass until nothing has been written for a while."""
        quiet = 0
        for _ in range(seconds):
            before = len(self.writes)
            await self.live()
            quiet = quiet + 1 if len(self.writes) == before else 0
            if quiet >= quiet_seconds:
                return
        raise AssertionError(f"no rest; last writes: {[str(w) for w in self.writes[-6:]]}")

    # ── people ──

    async def ask_for(
        self, version: str = "1", *, name: str = "digits", namespace: str = NAMESPACE, **spec: Any
    ) -> None:
        """Do what `kubectl apply` does; a field of `rollout` that is None is left out."""
        source = {"uri": f"https://models.example/{version}.onnx", "digest": PINNED}
        rollout = {
            "steps": [{"weight": 10}, {"weight": 50}],
            "bakeSeconds": 5,
            "analysis": {"intervalSeconds": 1, "minSamples": 30, "warmUpSeconds": 0},
            **spec.pop("rollout", {}),
        }
        rollout = {field: value for field, value in rollout.items() if value is not None}
        model = {"version": version, "source": source, **spec.pop("model", {})}

        manifest: Manifest = {
            **kinds.MODEL_DEPLOYMENT.type_meta,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"model": model, "rollout": rollout, **spec},
        }

        self.api.apply(manifest, manager="kubectl", force=True)
        await self.work()

    async def act(self, verb: str, name: str = "digits", *, reason: str | None = None) -> None:
        number = int(self.clock.seconds() * 1000)
        why = f"{reason}#{number}" if reason is not None else None
        asked = {names.ANNOTATION_ACTION: f"{verb}#{number}", names.ANNOTATION_ACTION_REASON: why}
        self.change(kinds.MODEL_DEPLOYMENT, name, metadata=asked)
        await self.work()

    def change(
        self, kind: kinds.Kind, name: str, *, metadata: Manifest | None = None, **body: Any
    ) -> None:
        """Do what `kubectl edit` does; `metadata` are annotations."""
        if metadata is not None:
            body["metadata"] = {"annotations": metadata}
        self.api.patch(kind, NAMESPACE, name, body, manager="somebody")

    def delete(self, kind: kinds.Kind, name: str = "digits") -> None:
        self.api.delete(kind, NAMESPACE, name)

    # ── what is there ──

    def find(self, kind: kinds.Kind, name: str = "digits", namespace: str = NAMESPACE) -> Manifest:
        found = self.api.get(kind, namespace, name)
        assert found is not None, f"no {kind.kind} {name}"
        return found

    def status(self, name: str = "digits", namespace: str = NAMESPACE) -> Manifest:
        found = self.api.get(kinds.MODEL_DEPLOYMENT, namespace, name) or {}
        status: Manifest = found.get("status", {})
        return status

    def condition(self, kind: str, name: str = "digits") -> tuple[str, str, str]:
        for entry in self.status(name).get("conditions", ()):
            if entry["type"] == kind:
                return entry["status"], entry["reason"], entry["message"]
        return "", "", ""

    def stage(self, name: str = "digits") -> str:
        return str(self.status(name).get("rollout", {}).get("stage", ""))

    def serving(self, name: str = "digits") -> str | None:
        """Version that has all of the traffic at every proxy."""
        route = self.api.get(kinds.MODEL_ROUTE, NAMESPACE, name)
        full = {
            revision
            for entry in (route or {}).get("status", {}).get("proxies", ())
            for revision, weight in entry["effectiveWeights"].items()
            if weight == 100 and entry["generation"] == (route or {})["metadata"]["generation"]
        }
        return self.controllers.version_of(NAMESPACE, full.pop()) if len(full) == 1 else None

    def weights(self, name: str = "digits") -> dict[str, int]:
        """As written, by version."""
        route = self.find(kinds.MODEL_ROUTE, name)
        return {
            self.controllers.version_of(NAMESPACE, entry["revision"]): entry["weight"]
            for entry in route["spec"]["backends"]
        }

    def outcomes(self, name: str = "digits") -> list[tuple[str, str]]:
        return [
            (entry["version"], entry["outcome"]) for entry in self.status(name).get("history", ())
        ]

    def written_weights(self) -> list[dict[str, int]]:
        return list(self.weight_log)

    def proxies(self) -> list[Manifest]:
        return self.controllers.proxies(NAMESPACE)

    def names(self, kind: kinds.Kind) -> list[str]:
        return [item["metadata"]["name"] for _, item in self.api.all(kind)]

    def uids(self, kind: kinds.Kind) -> set[str]:
        return {item["metadata"]["uid"] for _, item in self.api.all(kind)}

    # ── the promises, on the recorded history ──

    def _witness(self, change: Change) -> None:
        if change.kind is kinds.MODEL_ROUTE and change.after is not None:
            total = sum(entry["weight"] for entry in change.after["spec"]["backends"])
            if total not in {0, 100}:
                self.broken.append(f"I1: weights sum to {total}")
            self._log_weights(change)
        if change.kind is kinds.DEPLOYMENT and change.before is not None:
            labels = change.before["metadata"]["labels"]
            if labels.get(names.LABEL_COMPONENT) == names.COMPONENT_SERVER:
                self._check_capacity(change, labels)

    def _log_weights(self, change: Change) -> None:
        assert change.after is not None
        before = change.before["spec"]["backends"] if change.before else None
        is_ours = change.manifest["metadata"]["name"] == "digits"
        if is_ours and change.after["spec"]["backends"] != before:
            self.weight_log.append(self.weights())

    def _check_capacity(self, change: Change, labels: Manifest) -> None:
        assert change.before is not None
        before = change.before["spec"]["replicas"]
        after = change.after["spec"]["replicas"] if change.after else 0
        owner, revision = labels[names.LABEL_OWNER], labels[names.LABEL_REVISION]
        namespace = change.before["metadata"]["namespace"]

        if after >= before or self.api.get(kinds.MODEL_ROUTE, namespace, owner) is None:
            return

        md = self.api.get(kinds.MODEL_DEPLOYMENT, namespace, owner)
        owners = [ref["uid"] for ref in change.before["metadata"]["ownerReferences"]]
        if change.after is None and (md is None or md["metadata"]["uid"] not in owners):
            return  # a person deleted all of it; in which order it goes is not ours

        if after == 0 and self._is_held(namespace, owner):
            return
        weight = self._highest_weight(namespace, owner, revision)
        shared = (md or {}).get("status", {}).get("rollout", {}).get("capacity")
        if shared is not None:
            self._check_floor(namespace, owner, shared, gone=before - after if weight else 0)
        elif after * 100 < self._carries_all(namespace, owner, before) * weight:
            self.broken.append(f"I2: {revision} goes to {after} replicas under {weight} %")
        if after == 0 and self.controllers.in_flight(namespace, owner, revision):
            self.broken.append(f"I3: {revision} goes with requests in flight")

    def _is_held(self, namespace: str, owner: str) -> bool:
        """Return whether every router holds what finds no replica, and no request has come."""
        proxies = self.find(kinds.MODEL_ROUTE, owner, namespace)["status"]["proxies"]
        return all(entry.get("asleep") == {} for entry in proxies)

    def _check_floor(self, namespace: str, owner: str, shared: Manifest, *, gone: int) -> None:
        """Where places are shared, one replica goes at a time, and so many stay ready."""
        labels = {names.LABEL_OWNER: owner, names.LABEL_COMPONENT: names.COMPONENT_SERVER}
        found = self.api.list(kinds.DEPLOYMENT, namespace, labels)
        ready = sum(item.get("status", {}).get("readyReplicas", 0) for item in found)
        if gone > 1 or (gone and ready - gone < shared["floor"]):
            self.broken.append(f"I2: {gone} of {ready} ready replicas go at once, {shared}")

    def _carries_all(self, namespace: str, owner: str, before: int) -> int:
        """Return the replicas that the load needs, or else those that there were."""
        scaling = self.find(kinds.MODEL_DEPLOYMENT, owner, namespace)["spec"].get("scaling", {})
        load = self.controllers.concurrency
        if scaling.get("engine") == "None":
            return int(scaling.get("replicas", before))
        if load is None or "concurrency" not in scaling.get("target", {}):
            return before
        return math.ceil(load / int(scaling["target"]["concurrency"]))

    def _highest_weight(self, namespace: str, owner: str, revision: str) -> int:
        route = self.find(kinds.MODEL_ROUTE, owner, namespace)
        written = [
            entry["weight"] for entry in route["spec"]["backends"] if entry["revision"] == revision
        ]
        running = [
            entry["effectiveWeights"].get(revision, 0)
            for entry in route.get("status", {}).get("proxies", ())
        ]
        return int(max([*written, *running, 0]))


# ── comparing ends ──

MASKED = frozenset(
    {
        "judgedWeight",  # a kill may lose the last one; then the next weight is judged, or the bake
        "analysis",  # which look was the last one written differs; outcomes do not
        "uid",
        "resourceVersion",
        "generation",
        "observedGeneration",
        "managedFields",
        "creationTimestamp",
        "lastTransitionTime",
        "lastCheck",
        "at",
        "since",
        "startedAt",
        "stepStartedAt",
        "alarmStepStartedAt",
        "clockAt",
        "waitsSince",
        "decidedAt",
        "trafficRestoredAt",
        "capacityRestoredAt",
        "activeSeconds",
        "stepActiveSeconds",
        "samples",
        "baselineSamples",
        "state",
        names.ANNOTATION_EPOCH,
        names.ANNOTATION_HASH,
        "until",
    }
)
NUMBERS = re.compile(r"\d[\d,]*(\.\d+)?")
TEXTS = frozenset({"message", "reason", "cause", "trigger", names.ANNOTATION_OUTCOME})


LEVELS = ("afterPromotion", "level", "recorded")
"""What a revision was in its rollout: how many requests that was depends on the pass."""


def final_state(world: OperatorWorld) -> dict[str, Any]:
    """Return all objects but pods, without what differs between any two runs."""
    kept: Iterable[tuple[kinds.Kind, Manifest]] = world.api.all()
    return {
        f"{kind.kind} {item['metadata']['name']}": _masked(item)
        for kind, item in kept
        if kind is not kinds.POD
    }


def _masked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: _masked(child, f"{key}/{name}" if key in LEVELS else name)
            for name, child in value.items()
            if name not in MASKED and not (name == "revision" and isinstance(child, int))
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if key in {f"{level}/requests" for level in LEVELS}:
        return "#"  # in which pass it was promoted differs
    if key in TEXTS:
        return NUMBERS.sub("#", str(value))
    return value if not isinstance(value, float) else "#"


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two final states differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted(one.keys() | other.keys())
            for line in differences(one.get(key), other.get(key), f"{path}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line
            for number, pair in enumerate(zip(one, other, strict=True))
            for line in differences(*pair, f"{path}/{number}")
        ]
    return [] if one == other else [f"{path}: {one} beside {other}"]
