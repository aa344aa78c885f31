"""When a model falls asleep, what wakes it, and what is said of it."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from slipway.api.conditions import Condition, ConditionType
from slipway.api.modeldeployment import ModelDeployment
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, ProxyFact
from slipway.policy.invariants import find_violations
from slipway.policy.rollout.decide import decide
from slipway.policy.scaling.recommend import ScalerMemory, bounds_of, recommend_replicas
from slipway.policy.scaling.signals import LoadSample
from slipway.policy.scaling.sleep import is_asleep
from slipway.policy.sizing import Sizing
from slipway.policy.status import desired_status

from tests.builders import NOON, a_model_deployment, a_revision, a_route, a_workload, facts_about

SLEEPS = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 60}
PROXIES = ("router-a", "router-b")


def promoted(**scaling: Any) -> ModelDeployment:
    """Return a model whose only version serves."""
    md = a_model_deployment("1", scaling={**SLEEPS, **scaling})
    name = a_revision(md).name
    stable = {"revision": name, "version": "1"}
    status = md.status.model_validate({"stable": stable, "rollout": {"stage": "Idle"}})
    return md.model_copy(update={"status": status})


@dataclass
class Model:
    """One model in a cluster that does what is decided, as fast as the test lets it."""

    md: ModelDeployment = field(default_factory=promoted)
    now: datetime = NOON
    replicas: int = 1
    ready: int = 1
    is_held: bool = False
    generation: int = 1
    holds: dict[str, tuple[int, bool]] = field(
        default_factory=lambda: dict.fromkeys(PROXIES, (1, False))
    )
    """By router: the generation that it runs, and whether it holds."""
    asked: set[str] = field(default_factory=set)
    """Routers at which a request came while they held."""
    in_flight: int = 0
    finished: int = 0
    memory: ScalerMemory = field(default_factory=ScalerMemory)
    sizing: Sizing | None = None
    acknowledged_at: datetime | None = NOON
    condition: dict[ConditionType, Condition] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return a_revision(self.md).name

    def facts(self) -> Facts:
        proxies = tuple(
            ProxyFact(name, f"uid-{name}", generation, {self.name: 100}, None, (), holds, is_asked)
            for name, (generation, holds) in self.holds.items()
            for is_asked in [holds and name in self.asked]
        )
        route = a_route({self.name: 100}, generation=self.generation)
        facts = facts_about(
            self.md,
            revisions={self.name: a_revision(self.md)},
            workloads={self.name: a_workload(self.name, replicas=self.replicas, ready=self.ready)},
            route=replace(route, proxies=proxies, asleep=self.is_held),
        )
        if not facts.is_acknowledged:
            self.acknowledged_at = None
        else:
            self.acknowledged_at = self.acknowledged_at or self.now
        return replace(facts, acknowledged_at=self.acknowledged_at)

    def look(self) -> Decision:
        """Decide as the operator does, and check what must hold."""
        facts = self.facts()
        if is_asleep(facts):
            self.forget()
        else:
            self._measure()
        facts = replace(facts, sizing=self.sizing)
        decision = decide(facts, self.now)
        assert not find_violations(decision, facts, self.now)
        status = desired_status(decision, facts, None, self.now)
        self.condition = {ConditionType(each.type): each for each in status.conditions}
        self.md = self.md.model_copy(update={"status": status})
        return decision

    def forget(self) -> None:
        """Know nothing of the load: another process of the operator, or a model asleep."""
        self.memory, self.sizing = ScalerMemory(), None

    def _measure(self) -> None:
        sample = LoadSample(self.now, float(self.in_flight), finished=float(self.finished))
        self.sizing, self.memory = recommend_replicas(
            self.memory,
            sample,
            bounds_of(self.md.spec.scaling),
            current=self.replicas,
            ready=self.ready,
        )
        self.finished = 0

    def do(self, decision: Decision) -> None:
        """Write what was decided."""
        if decision.asleep != self.is_held:
            self.is_held = decision.asleep
            self.generation += 1
        self.replicas = decision.replicas[self.name]
        self.ready = min(self.ready, self.replicas)

    def acknowledge(self, *proxies: str) -> None:
        for name in proxies or PROXIES:
            self.holds[name] = (self.generation, self.is_held)
            if not self.is_held:
                self.asked.discard(name)

    def run(self, seconds: int) -> None:
        """Let time pass in a cluster that is quick, and in which nobody asks."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            self.do(self.look())
            self.acknowledge()
            self.ready = self.replicas

    def ask(self) -> None:
        """A request comes: it finds a replica, or is held."""
        if self.is_held:
            self.asked.add(PROXIES[0])
        if self.ready:
            self.finished += 1


def asleep(**scaling: Any) -> Model:
    model = Model(promoted(**scaling))
    model.run(70)
    assert (model.replicas, model.is_held) == (0, True)
    return model


def test_a_model_that_nobody_asks_falls_asleep() -> None:
    model = Model()
    model.run(60)
    assert model.replicas == 1
    model.run(10)
    assert (model.replicas, model.is_held) == (0, True)


def test_the_last_replica_goes_only_when_every_router_holds() -> None:
    model = Model()
    model.run(61)
    assert (model.replicas, model.is_held) == (1, True)
    model.holds = {"router-a": (model.generation, True), "router-b": (model.generation - 1, False)}
    for _ in range(30):
        model.now += timedelta(seconds=1)
        model.do(model.look())
    assert model.replicas == 1


def test_a_router_that_cannot_hold_keeps_the_model_awake() -> None:
    model = Model()
    for _ in range(100):
        model.now += timedelta(seconds=1)
        model.do(model.look())
        model.holds = dict.fromkeys(PROXIES, (model.generation, False))
    assert model.replicas == 1


def test_a_request_that_comes_while_it_falls_asleep_keeps_it_awake() -> None:
    model = Model()
    model.run(61)
    assert model.is_held
    model.ask()
    model.run(1)
    assert (model.replicas, model.is_held) == (1, False)


def test_a_request_under_way_keeps_it_awake() -> None:
    model = Model()
    model.in_flight = 1
    model.run(200)
    assert (model.replicas, model.is_held) == (1, False)


def test_places_that_a_rollout_shared_are_given_back_before_it_falls_asleep() -> None:
    md = promoted()
    rollout = {"stage": "Idle", "capacity": {"replicas": 2, "places": 2, "floor": 1}}
    status = {**md.status.model_dump(by_alias=True), "rollout": rollout}
    model = Model(md.model_copy(update={"status": md.status.model_validate(status)}))
    for _ in range(100):  # the second replica takes its time to start
        model.now += timedelta(seconds=1)
        model.do(model.look())
        model.acknowledge()
    assert (model.replicas, model.is_held) == (2, False)

    model.run(2)
    assert model.md.status.rollout is not None
    assert model.md.status.rollout.capacity is None
    model.run(70)
    assert (model.replicas, model.is_held) == (0, True)


def test_a_request_wakes_it_and_the_routers_hold_until_a_replica_is_ready() -> None:
    model = asleep()
    model.ask()
    decision = model.look()
    assert (decision.replicas[model.name], decision.asleep) == (1, True)
    model.do(decision)
    for _ in range(120):  # it takes its time to start
        model.now += timedelta(seconds=1)
        model.do(model.look())
        assert (model.replicas, model.is_held) == (1, True)
    model.ready = 1
    assert not model.look().asleep


def test_it_stays_asleep_and_is_not_looked_at() -> None:
    model = asleep()
    model.now += timedelta(days=3)
    decision = model.look()
    assert (decision.replicas[model.name], decision.asleep) == (0, True)
    assert model.sizing is None


def test_an_operator_that_has_just_started_lets_a_model_sleep() -> None:
    model = asleep()
    model.forget()
    assert model.look().replicas[model.name] == 0


def test_an_operator_that_has_just_started_does_not_put_a_model_to_sleep() -> None:
    model = Model()
    model.run(61)
    model.forget()
    model.now += timedelta(seconds=1)
    decision = model.look()
    assert (decision.replicas[model.name], decision.asleep) == (1, False)


def test_the_spec_wakes_it() -> None:
    model = asleep()
    scaling = model.md.spec.scaling.model_copy(update={"min_replicas": 1, "idle_seconds": None})
    model.md = model.md.model_copy(
        update={"spec": model.md.spec.model_copy(update={"scaling": scaling})}
    )
    decision = model.look()
    assert (decision.replicas[model.name], decision.asleep) == (1, True)


def test_asleep_is_healthy_and_says_what_wakes_it() -> None:
    model = asleep()
    model.look()
    for kind in (ConditionType.READY, ConditionType.AVAILABLE, ConditionType.SCALING_ACTIVE):
        found = model.condition[kind]
        assert (found.status, found.reason) == ("True", "Asleep")
        assert found.message == "asleep: no request for 1 minute; the next request wakes it"
    assert model.condition[ConditionType.CAPACITY_READY].status == "True"
    assert ConditionType.RECONCILING not in model.condition


def test_waking_is_available_because_requests_are_held() -> None:
    model = asleep()
    model.ask()
    model.look()
    found = model.condition[ConditionType.AVAILABLE]
    assert (found.status, found.reason) == ("True", "Waking")


def test_waking_is_no_outage() -> None:
    model = asleep()
    model.ask()
    model.do(model.look())
    model.now += timedelta(seconds=300)
    since = model.look().memory.stable_down_since
    assert since is not None
    assert since > model.now


def test_on_any_path_no_replica_goes_while_a_request_could_be_lost() -> None:
    for seed in range(8):
        walk(random.Random(seed))


def walk(draw: random.Random) -> None:
    """Requests, routers, pods and operators come and go; what is asked is answered at last."""
    model = Model(promoted(idleSeconds=10))
    sleeps = 0
    for _ in range(150):
        model.now += timedelta(seconds=1)
        if draw.random() < 0.04:
            model.ask()
        if draw.random() < 0.01:
            model.forget()
        before = model.replicas
        decision = model.look()
        if draw.random() < 0.95:
            if decision.replicas[model.name] == 0 < before:
                sleeps += 1
                assert all(holds for _, holds in model.holds.values())
                assert not model.asked
            model.do(decision)
        for proxy in PROXIES:
            if draw.random() < 0.7:
                model.acknowledge(proxy)
        if model.ready < model.replicas and draw.random() < 0.3:
            model.ready = model.replicas
    assert sleeps
    model.ask()
    for _ in range(5):
        model.now += timedelta(seconds=1)
        model.do(model.look())
        model.acknowledge()
        model.ready = model.replicas
    assert model.replicas == 1
    assert not model.asked
