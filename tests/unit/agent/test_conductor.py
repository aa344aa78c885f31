"""The loop, turn by turn, with an Envoy that does only what a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from slipway.agent.access import Callers
from slipway.agent.admin import EnvoyGone, EnvoyUnavailable, Observed
from slipway.agent.clusters import UNUSED_SECONDS
from slipway.agent.conductor import INHERITED_LOOKS, Conductor
from slipway.agent.credentials import CERTIFICATES_FILE, Credentials
from slipway.agent.desired import DesiredRoute
from slipway.agent.discovery import Discovery
from slipway.agent.doubts import Doubts, Question
from slipway.agent.endpoints import Endpoint, EndpointSlice
from slipway.agent.files import Files
from slipway.agent.holding import Holding
from slipway.agent.report import ProxyIdentity, Reporter
from slipway.agent.shadows import Shadows
from slipway.agent.weights import GIVE_UP_SECONDS, RETURN_SECONDS
from slipway.api.base import Manifest
from slipway.api.protocol import Protocol
from slipway.render.envoy import (
    CLUSTERS_FILE,
    LISTENERS_FILE,
    ROUTES_FILE,
    ClusterKey,
    render_endpoints,
)

from tests.certificates import FakeKeySets, FakeSecrets

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
FILES = (CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE)


@dataclass
class FakeEnvoy:
    """Runs what `take` gave it, and counts how often it was looked at."""

    directory: Path
    discovery: Discovery
    versions: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, str] = field(default_factory=dict)
    error: EnvoyUnavailable | None = None
    looks: int = 0

    async def observe(self) -> Observed:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return Observed("monday", dict(self.versions), dict(self.refused), dict(self.endpoints))

    def read(self, file: str) -> Manifest:
        found: Manifest = json.loads((self.directory / file).read_text())
        return found

    def take(self, *files: str) -> None:
        for file in files:
            self.versions[file] = self.read(file)["version_info"]

    def take_endpoints(self) -> None:
        for cluster in self.read(CLUSTERS_FILE)["resources"]:
            version = self.discovery.version(cluster["name"])
            assert version is not None
            self.endpoints[cluster["name"]] = version

    def take_all(self) -> None:
        self.take(*FILES)
        self.take_endpoints()

    def weights(self, route: str = "digits") -> dict[str, int]:
        """Return the HTTP weights in the file."""
        (configuration,) = self.read(ROUTES_FILE)["resources"]
        for host in configuration["virtual_hosts"]:
            actions = [each["route"] for each in host["routes"] if "route" in each]
            if host["name"] == route and actions:
                shares = actions[-1]["weighted_clusters"]["clusters"]
                return {share["name"].split("/")[1]: share["weight"] for share in shares}
        return {}


class Bench:
    """A conductor with everything around it."""

    def __init__(self, directory: Path) -> None:
        self.now = 0.0
        self.entries: dict[str, Manifest] = {}
        self.writes = 0
        self.generations: dict[str, int] = {}
        self.answering = True
        self.pause = asyncio.Event()
        self.secrets = FakeSecrets()
        self.today = datetime(2026, 11, 29, tzinfo=UTC)
        self.envoy = FakeEnvoy(directory, Discovery())
        self.conductor = self._a_conductor()

    def _a_conductor(self) -> Conductor:
        reporter = Reporter(ProxyIdentity("router-0", "u"), self._apply, lambda: datetime.now(UTC))
        envoy = self.envoy
        kept = envoy.directory / CERTIFICATES_FILE
        self.holding = Holding(reporter.report_asked)
        self.doubts = Doubts(self._ask, self._wake, self._pause)
        self.credentials = Credentials(self.secrets, "vision", kept, lambda: self.today)
        return Conductor(
            Files(envoy.directory),
            envoy.discovery,
            envoy,
            reporter,
            self.credentials,
            callers=Callers(FakeSecrets(), FakeSecrets(), FakeKeySets()),
            shadows=Shadows("router-0", None),
            holding=self.holding,
            doubts=self.doubts,
            clock=lambda: self.now,
        )

    def restart(self) -> None:
        """Begin with another agent beside the same Envoy."""
        self.envoy.discovery = Discovery()
        self.conductor = self._a_conductor()

    async def _apply(self, route: str, manifest: Manifest) -> None:
        self.writes += 1
        (self.entries[route],) = manifest["status"]["proxies"]

    def ask(self, weights: Mapping[str, int], *, name: str = "digits", port: int = 10_000) -> None:
        self.generations[name] = self.generations.get(name, 0) + 1
        backends = [
            {"revision": revision, "service": revision, "weight": weight, "minEndpoints": 1}
            for revision, weight in weights.items()
        ]
        manifest = {
            "metadata": {"name": name, "uid": name, "generation": self.generations[name]},
            "spec": {"port": port, "model": name, "backends": backends},
        }
        self.conductor.put_route(DesiredRoute.parse(manifest, "u"))

    def _wake(self) -> None:
        self.conductor.wake()

    async def _ask(self, _: Question) -> bool:
        return self.answering

    async def _pause(self, _: float) -> None:
        await self.pause.wait()

    def serve(self, revision: str, *hosts: str, ready: bool = True) -> None:
        pods = tuple(
            Endpoint(host, host, (("http", 8000),), ready=ready, serving=ready, terminating=False)
            for host in hosts
        )
        self.conductor.put_slice(revision, EndpointSlice(revision, pods))

    async def turn(self, times: int = 1, *, take: bool = False) -> None:
        for _ in range(times):
            await self.conductor.turn()
            if take:
                self.envoy.take_all()
            for _ in range(5):  # lets the reporter's tasks run
                await asyncio.sleep(0)


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    """All traffic on stable, acknowledged; the candidate known and without pods."""
    bench = Bench(tmp_path)
    bench.serve(STABLE, "10.0.0.1")
    bench.ask({STABLE: 100, CANDIDATE: 0})
    await bench.turn(3, take=True)
    assert bench.entries["digits"]["effectiveWeights"] == {STABLE: 100, CANDIDATE: 0}
    return bench


async def test_nothing_is_acknowledged_before_envoy_has_it(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn()
    bench.envoy.take_endpoints()
    await bench.turn(3)

    assert bench.envoy.weights() == {STABLE: 50, CANDIDATE: 50}
    assert bench.entries["digits"]["generation"] == 1

    bench.envoy.take(ROUTES_FILE)
    await bench.turn()

    assert bench.entries["digits"]["generation"] == 2


async def test_a_revision_gets_no_weight_before_envoy_has_its_endpoints(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(5)

    assert bench.envoy.weights() == {STABLE: 100}

    bench.envoy.take_endpoints()
    await bench.turn()

    assert bench.envoy.weights() == {STABLE: 50, CANDIDATE: 50}


async def test_a_weight_is_lowered_whatever_the_endpoints_do(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(4, take=True)
    bench.serve(STABLE, "10.0.0.9")
    bench.ask({STABLE: 100, CANDIDATE: 0})
    await bench.turn()

    assert bench.envoy.weights() == {STABLE: 100}


async def test_a_route_is_compared_while_envoy_runs_it_with_two_revisions(bench: Bench) -> None:
    assert bench.conductor.compared_routes == set()
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(4)
    assert bench.conductor.compared_routes == set()
    await bench.turn(4, take=True)
    assert bench.conductor.compared_routes == {"digits"}
    bench.ask({STABLE: 0, CANDIDATE: 100})
    await bench.turn(4, take=True)
    assert bench.conductor.compared_routes == set()


async def test_at_rest_envoy_is_not_asked(bench: Bench) -> None:
    looks = bench.envoy.looks
    await bench.turn(10)
    assert bench.envoy.looks == looks


async def test_new_endpoints_write_no_status(bench: Bench) -> None:
    writes = bench.writes
    for number in range(5):
        bench.serve(STABLE, f"10.0.1.{number}")
        await bench.turn(2, take=True)

    assert bench.writes == writes
    assert bench.conductor.acknowledged.is_set()


async def test_while_envoy_is_gone_everything_is_written_for_its_start(bench: Bench) -> None:
    bench.envoy.error = EnvoyGone("no socket")
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(2)

    assert bench.envoy.weights() == {STABLE: 50, CANDIDATE: 50}
    assert bench.entries["digits"]["generation"] == 1


async def test_an_envoy_that_is_slow_to_answer_is_not_gone(bench: Bench) -> None:
    bench.envoy.error = EnvoyUnavailable("busy")
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(3)
    assert bench.envoy.weights() == {STABLE: 100}


async def test_a_refused_route_goes_back_and_reports_it(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn()
    bench.envoy.take_endpoints()
    await bench.turn()
    bench.envoy.refused = {ROUTES_FILE: 1}
    await bench.turn(2)

    assert bench.envoy.weights() == {STABLE: 100}

    entry = bench.entries["digits"]
    assert (entry["generation"], entry["effectiveWeights"]) == (1, {STABLE: 100, CANDIDATE: 0})
    assert entry["error"].startswith("generation 2: Envoy refused rds.json")


async def test_of_two_changed_routes_the_good_one_takes_effect(bench: Bench) -> None:
    bench.ask({STABLE: 100}, name="good", port=10_001)
    bench.ask({STABLE: 100}, name="bad", port=10_002)
    for _ in range(20):
        await bench.turn()
        listeners = {each["name"] for each in bench.envoy.read(LISTENERS_FILE)["resources"]}
        if "bad" in listeners and bench.envoy.versions[LISTENERS_FILE] != "refused":
            bench.envoy.refused = {LISTENERS_FILE: bench.envoy.refused.get(LISTENERS_FILE, 0) + 1}
            bench.envoy.take(CLUSTERS_FILE, ROUTES_FILE)
        elif "bad" not in listeners:
            bench.envoy.take(*FILES)
        bench.envoy.take_endpoints()

    assert bench.entries["good"]["effectiveWeights"] == {STABLE: 100}
    assert "refused" in bench.entries["bad"]["error"]
    assert bench.conductor.acknowledged.is_set()


async def asked_for_half(bench: Bench) -> None:
    """Half of the traffic is written for the candidate; Envoy does not run it yet."""
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn()
    bench.envoy.take_endpoints()
    await bench.turn()
    assert bench.envoy.weights() == {STABLE: 50, CANDIDATE: 50}


async def test_what_envoy_ran_before_it_hung_acknowledges_nothing(bench: Bench) -> None:
    await asked_for_half(bench)
    bench.envoy.error = EnvoyUnavailable("the admin page hangs")
    bench.envoy.take(ROUTES_FILE)
    bench.ask({STABLE: 100, CANDIDATE: 0})
    await bench.turn(5)

    assert bench.envoy.weights() == {STABLE: 100}
    assert bench.entries["digits"]["generation"] == 1
    assert not bench.conductor.acknowledged.is_set()

    bench.envoy.error = None
    await bench.turn()
    assert bench.entries["digits"]["generation"] == 1

    bench.envoy.take(ROUTES_FILE)
    await bench.turn()
    assert bench.entries["digits"]["generation"] == 3


async def test_a_look_from_before_the_writing_acknowledges_nothing(bench: Bench) -> None:
    await asked_for_half(bench)
    bench.ask({STABLE: 100, CANDIDATE: 0})
    await bench.turn()
    assert bench.entries["digits"]["generation"] == 1

    await bench.turn()
    assert bench.entries["digits"]["generation"] == 3


async def test_endpoints_that_went_and_came_back_are_looked_for_anew(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    await bench.turn(2, take=True)
    assert bench.conductor.acknowledged.is_set()

    bench.envoy.error = EnvoyUnavailable("the admin page hangs")
    bench.serve(CANDIDATE, "10.0.0.9")
    await bench.turn()
    bench.envoy.take_endpoints()
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(3)

    assert bench.envoy.weights() == {STABLE: 100}


async def test_a_refusal_is_not_blamed_on_the_route_that_mends_it(bench: Bench) -> None:
    await asked_for_half(bench)
    bench.envoy.refused = {ROUTES_FILE: 1}
    bench.ask({STABLE: 60, CANDIDATE: 40})
    await bench.turn()

    assert bench.entries["digits"]["error"].startswith("generation 2: ")

    await bench.turn(5, take=True)

    assert bench.entries["digits"]["generation"] == 3
    assert bench.envoy.weights() == {STABLE: 60, CANDIDATE: 40}


async def test_a_refusal_after_two_writings_is_blamed_on_neither_alone(bench: Bench) -> None:
    """Envoy counts refusals and does not say of what."""
    await asked_for_half(bench)
    bench.ask({STABLE: 60, CANDIDATE: 40})
    await bench.turn()
    bench.envoy.refused = {ROUTES_FILE: 1}
    await bench.turn()

    assert "error" not in bench.entries["digits"]

    await bench.turn(5, take=True)

    assert bench.entries["digits"]["generation"] == 3


async def test_a_route_refused_twice_in_two_writings_is_still_found(bench: Bench) -> None:
    await asked_for_half(bench)
    bench.ask({STABLE: 60, CANDIDATE: 40})
    await bench.turn()
    for refusals in range(1, 4):
        bench.envoy.refused = {ROUTES_FILE: refusals}
        await bench.turn(2)

    assert bench.entries["digits"]["error"].startswith("generation 3: ")
    assert bench.envoy.weights() == {STABLE: 100}


async def test_a_refusal_of_a_route_that_was_deleted_is_blamed_on_no_other(bench: Bench) -> None:
    bench.ask({STABLE: 100}, name="bad", port=10_001)
    await bench.turn()
    bench.envoy.take_endpoints()
    await bench.turn()
    bench.envoy.refused = {LISTENERS_FILE: 1}
    bench.conductor.remove_route("bad")
    bench.ask({STABLE: 100}, name="good", port=10_002)
    await bench.turn()
    await bench.turn(5, take=True)

    assert bench.entries["good"]["effectiveWeights"] == {STABLE: 100}
    assert bench.conductor.acknowledged.is_set()


async def test_refusals_from_before_the_agents_start_are_blamed_on_nobody(bench: Bench) -> None:
    bench.envoy.refused = {ROUTES_FILE: 1}
    bench.restart()
    bench.serve(STABLE, "10.0.0.1")
    bench.serve(CANDIDATE, "10.0.0.2")
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(3)

    assert "error" not in bench.entries["digits"]

    await bench.turn(3, take=True)

    assert bench.entries["digits"]["generation"] == 2


@pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.9"])
async def test_an_agent_that_restarts_takes_no_listener_away(bench: Bench, host: str) -> None:
    """Also where pods changed while it was away, so that Envoy has older endpoints."""
    files = {file: bench.envoy.read(file) for file in FILES}
    bench.restart()
    bench.serve(STABLE, host)
    bench.ask({STABLE: 100, CANDIDATE: 0})

    for _ in range(3):
        await bench.turn()
        assert {file: bench.envoy.read(file) for file in FILES} == files

    await bench.turn(3, take=True)

    assert {file: bench.envoy.read(file) for file in FILES} == files
    assert bench.entries["digits"]["generation"] == 2


async def test_a_restarted_agent_waits_for_endpoints_only_for_a_while(bench: Bench) -> None:
    bench.restart()
    bench.serve(STABLE, "10.0.0.1")
    bench.ask({STABLE: 100})
    bench.ask({STABLE: 100}, name="new", port=10_001)
    await bench.turn(INHERITED_LOOKS)

    assert not bench.conductor.programmed.is_set()

    await bench.turn()
    assert bench.conductor.programmed.is_set()


async def test_a_revision_that_left_keeps_its_clusters_for_a_minute(bench: Bench) -> None:
    bench.ask({STABLE: 100})
    await bench.turn(3, take=True)

    def revisions() -> set[str]:
        return {key.revision for key in bench.conductor.clusters}

    bench.now += UNUSED_SECONDS - 1
    await bench.turn(take=True)
    assert revisions() == {STABLE, CANDIDATE}
    bench.now += 1
    await bench.turn(take=True)
    assert revisions() == {STABLE}


# ── pods that the cluster calls not ready ──


@pytest.fixture
async def both(bench: Bench) -> AsyncIterator[Bench]:
    """Half of the traffic for each revision, one pod each, acknowledged."""
    await asked_for_half(bench)
    await bench.turn(3, take=True)
    assert bench.entries["digits"]["effectiveWeights"] == {STABLE: 50, CANDIDATE: 50}
    yield bench
    await bench.doubts.close()


def is_sent_to(bench: Bench, revision: str, *hosts: str) -> bool:
    """Tell whether these pods are all that Envoy is told of a revision."""
    key = ClusterKey("digits", revision, Protocol.HTTP)
    wanted = render_endpoints(key, tuple((host, 8000) for host in hosts))
    return bench.envoy.discovery.version(key.name) == str(wanted["version_info"])


async def test_pods_that_answer_keep_requests_and_weights_where_none_is_ready(both: Bench) -> None:
    writes = both.writes
    for seconds in (0.0, 0.5, GIVE_UP_SECONDS, RETURN_SECONDS):
        both.now += seconds
        both.serve(STABLE, "10.0.0.1", ready=False)
        both.serve(CANDIDATE, "10.0.0.2", ready=False)
        await both.turn(2, take=True)

        assert is_sent_to(both, STABLE, "10.0.0.1")
        assert is_sent_to(both, CANDIDATE, "10.0.0.2")
    assert both.envoy.weights() == {STABLE: 50, CANDIDATE: 50}
    assert both.writes == writes


async def test_a_pod_that_does_not_answer_is_taken_from_envoy(both: Bench) -> None:
    both.answering = False
    both.serve(STABLE, "10.0.0.1", ready=False)
    await both.turn(2, take=True)
    assert is_sent_to(both, STABLE)


@pytest.mark.parametrize("answering", [True, False])
async def test_a_revision_that_is_not_ready_gives_its_share_away_whether_or_not_it_answers(
    both: Bench, answering: bool
) -> None:
    """What operator and users read of it stays the same, and so does the verdict."""
    both.answering = answering
    both.serve(CANDIDATE, "10.0.0.2", ready=False)
    await both.turn(2, take=True)
    assert both.entries["digits"]["effectiveWeights"] == {STABLE: 50, CANDIDATE: 50}

    both.now += GIVE_UP_SECONDS
    await both.turn(3, take=True)
    assert both.entries["digits"]["effectiveWeights"] == {STABLE: 100, CANDIDATE: 0}


@pytest.mark.parametrize("first", [STABLE, CANDIDATE])
async def test_the_revision_that_is_ready_again_first_takes_no_share_of_one_that_answers(
    both: Bench, first: str
) -> None:
    hosts = {STABLE: "10.0.0.1", CANDIDATE: "10.0.0.2"}
    writes = both.writes
    for revision, host in hosts.items():
        both.serve(revision, host, ready=False)
    await both.turn(2, take=True)
    both.now += RETURN_SECONDS
    await both.turn(2, take=True)

    both.serve(first, hosts[first])
    await both.turn(2, take=True)
    both.now += GIVE_UP_SECONDS / 2
    for revision, host in hosts.items():
        both.serve(revision, host)
    await both.turn(2, take=True)
    assert both.writes == writes


async def test_where_none_is_ready_one_that_answers_takes_the_share_of_one_that_does_not(
    both: Bench,
) -> None:
    both.serve(STABLE, "10.0.0.1", ready=False)
    both.serve(CANDIDATE)
    await both.turn(2, take=True)
    both.now += GIVE_UP_SECONDS
    await both.turn(3, take=True)
    assert both.entries["digits"]["effectiveWeights"] == {STABLE: 100, CANDIDATE: 0}


async def test_pods_that_only_answer_are_no_reason_to_raise_a_weight(bench: Bench) -> None:
    bench.serve(CANDIDATE, "10.0.0.2")
    await bench.turn(2, take=True)
    bench.serve(CANDIDATE, "10.0.0.2", ready=False)
    bench.ask({STABLE: 50, CANDIDATE: 50})
    await bench.turn(5, take=True)

    assert bench.envoy.weights() == {STABLE: 100}
    assert bench.entries["digits"]["generation"] == 1
    await bench.doubts.close()


async def test_a_revision_that_the_newest_spec_has_no_more_is_still_asked(bench: Bench) -> None:
    """It serves until the one that replaces it can."""
    bench.ask({CANDIDATE: 100})
    bench.serve(STABLE, "10.0.0.1", ready=False)
    await bench.turn(3, take=True)
    assert is_sent_to(bench, STABLE, "10.0.0.1")
    await bench.doubts.close()


async def test_an_agent_that_restarts_takes_no_pod_away_that_answers(bench: Bench) -> None:
    bench.restart()
    bench.doubts.inherit({("10.0.0.1", 8000)})
    bench.serve(STABLE, "10.0.0.1", ready=False)
    bench.serve(CANDIDATE, "10.0.0.2", ready=False)
    bench.ask({STABLE: 100, CANDIDATE: 0})
    await bench.turn(3, take=True)

    assert is_sent_to(bench, STABLE, "10.0.0.1")
    assert is_sent_to(bench, CANDIDATE)
    await bench.doubts.close()
