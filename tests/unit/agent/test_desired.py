from dataclasses import replace

from slipway.agent.desired import DesiredRoute, find_port_conflicts, plan_route
from slipway.agent.endpoints import Endpoint, EndpointSlice, group_by_service
from slipway.api.base import Manifest
from slipway.api.protocol import Protocol
from slipway.render.envoy import ClusterKey

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
HEADER = {"name": "x-model-candidate", "value": "true"}


def a_slice(revision: str, *hosts: str) -> EndpointSlice:
    ports = (("http", 8000), ("grpc", 8001))
    return EndpointSlice(
        f"digits-{revision}",
        tuple(
            Endpoint(host, host, ports, ready=True, serving=True, terminating=False)
            for host in hosts
        ),
    )


ONE = group_by_service([a_slice(STABLE, "10.0.0.1")])
BOTH = ONE | group_by_service([a_slice(CANDIDATE, "10.0.0.2")])


def a_route(weights: dict[str, int], **spec: object) -> Manifest:
    backends = [
        {"revision": name, "service": f"digits-{name}", "weight": weight, "minEndpoints": 1}
        for name, weight in weights.items()
    ]
    return {
        "metadata": {"name": "digits", "uid": "u", "generation": 3},
        "spec": {"port": 10_000, "model": "digits", "backends": backends, **spec},
    }


def asked(weights: dict[str, int], **spec: object) -> DesiredRoute:
    return DesiredRoute.parse(a_route(weights, **spec), "pod-uid")


def test_every_backend_has_its_clusters_also_at_weight_zero() -> None:
    wanted = plan_route(asked({STABLE: 100, CANDIDATE: 0}), BOTH, None, 0.0)
    assert wanted.clusters == {
        ClusterKey("digits", STABLE, Protocol.HTTP): (("10.0.0.1", 8000),),
        ClusterKey("digits", STABLE, Protocol.GRPC): (("10.0.0.1", 8001),),
        ClusterKey("digits", CANDIDATE, Protocol.HTTP): (("10.0.0.2", 8000),),
        ClusterKey("digits", CANDIDATE, Protocol.GRPC): (("10.0.0.2", 8001),),
    }


def test_the_header_route_has_clusters_of_its_own() -> None:
    route = asked({STABLE: 100, CANDIDATE: 0}, candidate=CANDIDATE, candidateHeader=HEADER)
    pinned = {key for key in plan_route(route, BOTH, None, 0.0).clusters if key.pinned}

    assert {(key.revision, key.protocol) for key in pinned} == {
        (CANDIDATE, Protocol.HTTP),
        (CANDIDATE, Protocol.GRPC),
    }


def test_a_candidate_that_is_not_a_backend_has_no_header_route() -> None:
    route = asked({STABLE: 100}, candidate=CANDIDATE, candidateHeader=HEADER)
    assert plan_route(route, BOTH, None, 0.0).route.pinned is None


def test_a_backend_that_left_the_spec_keeps_serving_until_the_new_one_can() -> None:
    first = plan_route(asked({STABLE: 100}), BOTH, None, 0.0)
    later = plan_route(
        DesiredRoute.parse(
            a_route({CANDIDATE: 100})
            | {"metadata": {"name": "digits", "uid": "u", "generation": 4}},
            "pod-uid",
        ),
        ONE,
        first.standing,
        1.0,
    )

    assert (later.generation, later.effective) == (3, {STABLE: 100})
    assert ClusterKey("digits", STABLE, Protocol.HTTP) in later.clusters
    assert ClusterKey("digits", CANDIDATE, Protocol.HTTP) in later.clusters


def test_only_the_entry_of_this_pod_is_its_own() -> None:
    entries: list[Manifest] = [
        {
            "name": f"router-{uid}",
            "uid": uid,
            "generation": 3,
            "hash": "h",
            "effectiveWeights": {},
            "at": "2026-11-21T21:00:00Z",
        }
        for uid in ("other", "pod-uid")
    ]
    route = a_route({STABLE: 100}) | {"status": {"proxies": entries}}
    own = DesiredRoute.parse(route, "pod-uid").own

    assert own is not None
    assert own.name == "router-pod-uid"
    assert DesiredRoute.parse(route, "third").own is None


def test_the_older_of_two_routes_keeps_the_port() -> None:
    def named(name: str, created: str, port: int) -> DesiredRoute:
        manifest = a_route({STABLE: 100}, port=port)
        manifest["metadata"] |= {"name": name, "creationTimestamp": created}
        return DesiredRoute.parse(manifest, "pod-uid")

    routes = [
        named("young", "2026-11-21T21:00:02Z", 10_000),
        named("old", "2026-11-21T21:00:01Z", 10_000),
        named("apart", "2026-11-21T21:00:03Z", 10_001),
    ]
    assert find_port_conflicts(routes) == {"young": "old"}


# ── asleep ──


def test_requests_are_held_until_a_replica_is_known_here_though_the_operator_says_awake() -> None:
    asleep = plan_route(asked({STABLE: 100}, asleep={}), ONE, None, 0.0, can_hold=True)
    assert asleep.route.holds

    awake = asked({STABLE: 100})
    before = plan_route(awake, {}, asleep.standing, 1.0, can_hold=True)
    assert (before.route.holds, before.has_replica) == (True, False)
    after = plan_route(awake, ONE, before.standing, 2.0, can_hold=True)
    assert (after.route.holds, after.has_replica) == (False, True)


def test_a_pod_that_only_answers_ends_no_hold() -> None:
    """A model falls asleep while its last pod may be in doubt."""
    (pod,) = ONE[f"digits-{STABLE}"]
    doubted = replace(pod, ready=False, serving=False, answers=True)
    known = {f"digits-{STABLE}": (doubted,)}
    plan = plan_route(asked({STABLE: 100}, asleep={}), known, None, 0.0, can_hold=True)

    assert (plan.route.holds, plan.has_replica) == (True, False)


def test_a_router_that_cannot_hold_is_not_asleep() -> None:
    assert not plan_route(asked({STABLE: 100}, asleep={}), ONE, None, 0.0).route.holds
