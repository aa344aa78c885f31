"""How many replicas a load needs: up within seconds, down on evidence, held without signals."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from slipway.policy.scaling.recommend import ScalerMemory, ScalingBounds, recommend_replicas
from slipway.policy.scaling.signals import (
    LoadCounters,
    LoadSample,
    ProxyLoad,
    ServerLoad,
    sample_load,
)
from slipway.policy.sizing import Sizing

from tests.builders import NOON, later

BOUNDS = ScalingBounds(
    least=1, most=8, concurrency=4, queue_millis=None, down=timedelta(seconds=120)
)


@dataclass
class Run:
    """A fleet that gets every replica that is asked for, at once."""

    bounds: ScalingBounds = BOUNDS
    replicas: int = 1
    ready: int | None = None
    unschedulable: int = 0
    second: float = 0
    every: float = 1
    memory: ScalerMemory = field(default_factory=ScalerMemory)
    last: Sizing | None = None

    def see(self, load: float | None, seconds: int = 1, **more: object) -> int:
        """Look once per second, or `every` so many, and return the replicas at the end."""
        for _ in range(seconds):
            self.second += self.every
            new = replace(LoadSample(at=later(self.second), load=load), **more)  # type: ignore[arg-type]
            ready = self.replicas if self.ready is None else self.ready
            self.last, self.memory = recommend_replicas(
                self.memory,
                new,
                self.bounds,
                current=self.replicas,
                ready=ready,
                unschedulable=self.unschedulable,
            )
            self.replicas = self.last.replicas
        return self.replicas

    def until(self, replicas: int, load: float | None, seconds: int = 900) -> int:
        """Return the seconds until so many replicas are asked for."""
        for passed in range(1, seconds):
            if self.see(load) == replicas:
                return passed
        raise AssertionError(f"still {self.replicas} replicas")

    @property
    def why(self) -> tuple[str, str | None]:
        assert self.last is not None
        return self.last.signal, self.last.bound_by

    def bound(self) -> str | None:
        return self.why[1]

    def missing(self) -> str:
        assert self.last is not None
        return self.last.missing


def settled(load: float, *, bounds: ScalingBounds = BOUNDS, replicas: int = 1) -> Run:
    """Return a run that has known a load for longer than any window."""
    run = Run(bounds, replicas)
    run.see(load, 200)
    return run


# ── up ──


def test_a_load_of_four_times_as_much_is_asked_for_after_three_readings() -> None:
    run = settled(3)
    assert run.replicas == 1
    assert run.until(3, 12) <= 3
    assert run.why == ("concurrency", None)


def test_a_blip_of_one_reading_asks_for_no_more_than_it_is_on_average() -> None:
    run = settled(3)
    assert run.see(9) <= 2
    assert run.see(3, 200) == 1


def test_a_queue_is_no_noise_though_the_demand_behind_it_is_small() -> None:
    """One replica answers ten per second; from four the load goes to sixteen, by chance."""
    waited = []

    for seed in range(40):
        run, queue = Run(replace(BOUNDS, concurrency=2)), random.Random(seed)
        in_flight, seconds = 0, 0
        while run.replicas == 1:
            rate = 4 if run.second < 100 else 16
            in_flight += sum(queue.random() < rate / 1000 for _ in range(1000))
            finished = min(10, in_flight)
            took = 0.1 * finished + 0.1 * max(0, in_flight - 10)
            in_flight -= finished
            run.see(in_flight, finished=float(finished), took_seconds=took)
            seconds = int(run.second) - 100
        waited.append(seconds)

    assert sorted(waited)[-2] <= 5


def test_a_trend_that_is_no_panic_is_followed_within_the_stable_window() -> None:
    run = settled(15, replicas=4)
    assert run.replicas == 4
    assert run.until(5, 18) <= 60


@pytest.mark.parametrize(("load", "replicas"), [(0, 1), (4, 1), (4.1, 2), (31, 8), (1000, 8)])
def test_a_steady_load_gets_what_it_needs_within_the_bounds(load: float, replicas: int) -> None:
    assert settled(load).replicas == replicas


def test_more_load_never_asks_for_fewer() -> None:
    numbers = [settled(load).replicas for load in range(40)]
    assert numbers == sorted(numbers)


def test_a_load_above_the_most_says_so() -> None:
    run = settled(100)
    assert run.why == ("concurrency", "maxReplicas")


def test_pods_that_are_slow_to_start_do_not_make_it_ask_for_more_and_more() -> None:
    run = settled(3)
    run.ready = 1
    run.see(16, 60)
    assert run.replicas == 4


# ── down ──


def test_replicas_go_only_after_the_whole_window() -> None:
    run = settled(16)
    assert run.replicas == 4
    assert run.see(1, 100) == 4
    assert run.why == ("concurrency", "stabilization")
    assert run.until(1, 1) < 90


def test_a_peak_within_the_window_keeps_what_it_needed() -> None:
    run = settled(16)
    for _ in range(10):
        run.see(1, 80)
        run.see(16, 20)
    assert run.replicas >= 3


def test_noise_around_the_edge_changes_the_number_once_at_most() -> None:
    run = Run()
    seen = [run.see(8 + (second % 3) - 1) for second in range(900)]
    changes = sum(1 for old, new in itertools.pairwise(seen) if old != new)
    assert changes <= 1


def test_a_process_that_has_just_started_holds_what_it_finds() -> None:
    run = Run(replicas=6)
    assert run.see(0, 119) == 6
    assert run.until(1, 0) <= 20


def test_a_gap_in_the_readings_begins_the_window_anew() -> None:
    run = settled(1, replicas=1)
    run.replicas = 5
    run.second += 60
    assert run.see(1, 100) == 5


@pytest.mark.parametrize("ready", [0, 1, 3])
def test_few_requests_while_replicas_do_not_answer_are_no_evidence(ready: int) -> None:
    run = settled(16)
    run.ready = ready
    assert run.see(0, 600) == 4
    assert run.why[1] == "NotReady"
    run.ready = None
    assert run.see(0, 110) == 4, "the window begins when they answer again"
    assert run.see(0, 60) == 1


def test_a_replica_without_a_node_does_not_keep_the_others() -> None:
    run = settled(16)
    run.ready, run.unschedulable = 3, 1
    assert run.see(0, 200) < 4


def test_bounds_of_the_spec_count_at_once() -> None:
    run = settled(16)
    run.bounds = replace(BOUNDS, most=2)
    assert run.see(16) == 2
    run.bounds = replace(BOUNDS, least=6)
    assert run.see(16) == 6
    assert run.why == ("concurrency", "minReplicas")


def test_replicas_that_are_held_are_worth_a_word_after_a_while_and_not_at_every_edge() -> None:
    run = settled(16)
    run.see(0, 29)
    assert run.bound() is None
    run.see(0, 40)
    assert run.bound() == "stabilization"
    told: set[str | None] = set()
    for _ in range(20):
        run.see(13, 10)
        run.see(11, 10)
        told.add(run.why[1])
    assert len(told) <= 2


def test_what_was_held_is_not_when_more_is_needed() -> None:
    run = settled(16)
    run.see(0, 70)
    run.see(28, 4)
    assert (run.replicas, run.why[1]) == (7, None)


# ── missing signals ──


def test_without_signals_nothing_goes_and_it_says_so_after_a_while() -> None:
    run = settled(16)
    run.see(None, 5, missing="router a does not answer")
    assert run.why[1] == "SignalsMissing"
    assert not run.missing()
    assert run.see(None, 600, missing="router a does not answer") == 4
    assert run.missing() == "router a does not answer"


def test_after_a_gap_in_the_signals_the_evidence_must_come_anew() -> None:
    run = settled(16)
    run.see(None, 300, missing="router a does not answer")
    assert run.see(1, 110) == 4
    assert run.until(1, 1) <= 70


def test_what_still_answers_is_enough_to_add_replicas() -> None:
    run = settled(3)
    assert run.see(16, 4, missing="router a does not answer") == 4


# ── slow looks ──


@pytest.mark.parametrize("seconds", [2, 3, 4.5, 6, 9])
def test_slow_looks_follow_a_step_all_the_same(seconds: float) -> None:
    run = Run()
    run.every = seconds
    run.see(3, 40)
    assert run.replicas == 1
    assert run.see(30, 3) == 8
    assert not run.missing()
    assert run.see(1, 100) == 1


def test_looks_that_are_too_slow_to_know_anything_say_so() -> None:
    run = settled(16)
    run.every = 11
    assert run.see(1, 50) == 4
    assert "too slow" in run.missing()
    run.every = 1
    run.see(1, 2)
    assert not run.missing()


# ── queue time ──

QUEUED = replace(BOUNDS, queue_millis=20)


def test_a_wait_above_the_target_adds_at_most_as_many_again() -> None:
    run = settled(6, bounds=QUEUED)
    assert run.replicas == 2
    assert run.see(6, waits=10, waited_millis=5000) == 4
    assert run.why == ("queue", None)


def test_a_wait_near_the_target_keeps_replicas() -> None:
    run = settled(16, bounds=QUEUED)
    assert run.see(1, 600, waits=10, waited_millis=150) == 4


def test_without_a_target_waits_do_not_count() -> None:
    run = settled(6)
    assert run.see(6, 20, waits=10, waited_millis=5000) == 2


# ── from counters to readings ──


def server(
    requests: float = 0, *, pending: float | None = 0, queue: float = 0, took: float = 0
) -> ServerLoad:
    return ServerLoad(pending, requests, took, queue)


def looked(
    proxies: dict[str, dict[str, int] | None],
    servers: Iterable[ServerLoad | None] = (),
    second: float = 0,
    *,
    requests: int = 0,
    start: str = "1",
) -> LoadCounters:
    told = {
        name: None if counts is None else ProxyLoad(counts, requests, 100.0 * requests, start)
        for name, counts in proxies.items()
    }
    return LoadCounters(later(second), told, {f"pod-{n}": each for n, each in enumerate(servers)})


def test_a_request_that_waits_in_triton_is_in_flight_at_the_router_and_counts_once() -> None:
    found = sample_load(looked({"a": {"v1": 5}}, [server(pending=3)]), None, needs_queue=False)
    assert found.load == 5
    found = sample_load(looked({"a": {"v1": 5}}, [server(pending=9)]), None, needs_queue=False)
    assert found.load == 9


def test_all_proxies_and_all_revisions_together_are_the_load() -> None:
    found = sample_load(looked({"a": {"v1": 5, "v2": 1}, "b": {"v1": 2}}), None, needs_queue=False)
    assert found.load == 8
    assert found.by_revision == {"v1": 7, "v2": 1}
    assert not found.missing


def test_a_silent_proxy_is_missing_and_what_others_say_stays() -> None:
    found = sample_load(looked({"a": {"v1": 5}, "b": None}), None, needs_queue=False)
    assert found.load == 5
    assert found.missing == "router b does not answer"


def test_pending_is_absent_in_old_servers_and_then_unknown_not_zero() -> None:
    found = sample_load(looked({}, [server(pending=None)]), None, needs_queue=False)
    assert found.load is None
    assert found.missing == "no router pod is ready"


def test_without_a_router_waiting_and_executing_requests_are_the_load() -> None:
    before = looked({}, [server(100, took=0)])
    now = looked({}, [server(110, pending=3, took=4e6, queue=1e6)], second=2)
    found = sample_load(now, before, needs_queue=False)
    assert found.load == pytest.approx(3 + 1.5)


def test_without_a_router_idle_servers_are_no_evidence_of_a_low_load() -> None:
    before = looked({}, [server(100)])
    found = sample_load(looked({}, [server(100)], second=1), before, needs_queue=False)
    assert found.load == 0
    assert found.missing == "no router pod is ready"


def test_the_wait_is_that_of_the_requests_since_the_look_before() -> None:
    before = looked({"a": {}}, [server(100, queue=7e6)])
    now = looked({"a": {}}, [server(110, queue=7.5e6)], second=1)
    found = sample_load(now, before, needs_queue=True)
    assert (found.waits, found.waited_millis) == (10, 500)


def test_a_server_that_restarted_in_between_says_nothing_of_waits() -> None:
    before = looked({"a": {}}, [server(100, queue=7e6)])
    found = sample_load(looked({"a": {}}, [server(2)], second=1), before, needs_queue=True)
    assert (found.waits, found.waited_millis) == (0, 0)


def test_where_queue_time_counts_half_of_the_servers_must_tell() -> None:
    half = sample_load(looked({"a": {}}, [server(), None]), None, needs_queue=True)
    less = sample_load(looked({"a": {}}, [server(), None, None]), None, needs_queue=True)
    assert not half.missing
    assert "fewer than half" in less.missing
    assert half.at == NOON


def test_what_was_finished_since_is_known_while_no_proxy_began_anew() -> None:
    before = looked({"a": {}, "b": {}}, requests=100)
    now = looked({"a": {}, "b": {}}, second=1, requests=107)
    found = sample_load(now, before, needs_queue=False)
    assert found.finished == 14
    assert found.took_seconds == pytest.approx(1.4)
    anew = looked({"a": {}, "b": {}}, second=1, requests=107, start="2")
    assert sample_load(anew, before, needs_queue=False).finished is None
    silent = looked({"a": {}, "b": None}, second=1, requests=107)
    assert sample_load(silent, before, needs_queue=False).finished is None
