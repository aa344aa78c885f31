"""Demand and queue: what arrives too fast counts once, clients that wait for answers all count."""

from slipway.policy.scaling.demand import Pace, estimate_demand, learn_pace
from slipway.policy.scaling.signals import LoadSample

from tests.builders import later


class Servers:
    """Servers that finish at most so many requests per second, each within a tenth of one."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.target = 20.0
        self.ready = 1
        self.load = 0.0
        self.second = 0
        self.pace = Pace()
        self.seen: list[LoadSample] = []

    def look(self, finished: float) -> float:
        """Return the demand after a second in which so many requests were finished."""
        self.second += 1
        new = LoadSample(
            at=later(self.second), load=self.load, finished=finished, took_seconds=self.load
        )
        found, self.pace = estimate_demand(
            self.pace, new, self.seen[-1] if self.seen else None, self.ready, self.target
        )
        self.seen = [*self.seen[-9:], new]
        self.pace = learn_pace(self.pace, tuple(self.seen), is_whole=True)
        return found

    def offered(self, rate: float, seconds: int = 1) -> float:
        """Return the demand after clients sent at a rate, whether or not they were answered."""
        found = 0.0
        for _ in range(seconds):
            finished = min(self.most, rate + max(0.0, self.load - rate * 0.1))
            self.load = max(rate * 0.1, self.load + rate - finished)
            found = self.look(finished)
        return found

    def waited_for(self, clients: int, seconds: int = 1) -> float:
        """Return the demand after so many clients sent one request after another."""
        found = 0.0
        for _ in range(seconds):
            self.load = clients
            found = self.look(min(self.most, clients / 0.1))
        return found


def test_while_servers_keep_up_the_demand_is_what_is_in_flight() -> None:
    servers = Servers(most=200)
    assert servers.offered(100, 60) == servers.load == 10


def test_a_queue_that_grows_is_not_demand_but_what_arrives_is() -> None:
    servers = Servers(most=200)
    servers.offered(100, 60)
    found = [servers.offered(400) for _ in range(20)]
    assert servers.load > 3000
    assert min(found) > 35
    assert max(found[:5]) <= 60
    assert max(found) <= 100, "where all replicas are ready, it learns that requests take longer"


def test_a_queue_that_is_worked_off_is_no_demand_either() -> None:
    servers = Servers(most=200)
    servers.offered(100, 60)
    servers.offered(400, 20)
    servers.most, servers.ready = 600, 3
    found = [servers.offered(400) for _ in range(15)]
    assert servers.load > 500
    assert max(found) <= 100


def test_clients_that_wait_for_answers_count_as_many_as_they_are() -> None:
    servers = Servers(most=80)
    servers.waited_for(8, 60)
    assert servers.waited_for(32, 4) == 32


def test_without_counts_of_answers_what_is_in_flight_counts() -> None:
    new = LoadSample(at=later(1), load=900.0)
    assert estimate_demand(Pace(took=0.1), new, LoadSample(at=later(0), load=10.0), 1, 4)[0] == 900


def test_a_target_above_what_a_replica_works_on_still_gets_replicas_that_keep_up() -> None:
    servers = Servers(most=10)
    servers.target = 4.0
    servers.offered(6, 60)
    found = [servers.offered(24) for _ in range(10)]
    assert 8 < max(found[2:]) <= 12, "24 per second, 10 of them by one replica: three replicas"
