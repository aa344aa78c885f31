from slipway.agent.clusters import UNUSED_SECONDS, Clusters
from slipway.api.protocol import Protocol
from slipway.render.envoy import ClusterKey

STABLE = ClusterKey("digits", "aaaaaaaa", Protocol.HTTP)
CANDIDATE = ClusterKey("digits", "bbbbbbbb", Protocol.HTTP)
STABLE_PODS = (("10.0.0.1", 8000),)
CANDIDATE_PODS = (("10.0.0.2", 8000),)


def both_used() -> Clusters:
    clusters = Clusters()
    clusters.update({STABLE: STABLE_PODS, CANDIDATE: CANDIDATE_PODS}, (), now=0.0)
    return clusters


def test_a_cluster_that_is_no_longer_used_keeps_its_addresses_for_a_while() -> None:
    clusters = both_used()

    clusters.update({STABLE: STABLE_PODS}, (), now=1.0)

    assert clusters.addresses == {STABLE: STABLE_PODS, CANDIDATE: CANDIDATE_PODS}
    assert clusters.deadlines() == [1.0 + UNUSED_SECONDS]


def test_it_goes_when_its_time_is_over() -> None:
    clusters = both_used()
    clusters.update({STABLE: STABLE_PODS}, (), now=1.0)

    clusters.update({STABLE: STABLE_PODS}, (), now=1.0 + UNUSED_SECONDS)

    assert clusters.addresses == {STABLE: STABLE_PODS}
    assert clusters.deadlines() == []


def test_a_cluster_that_the_route_file_still_names_never_goes() -> None:
    clusters = both_used()
    clusters.update({STABLE: STABLE_PODS}, {CANDIDATE}, now=1.0)

    clusters.update({STABLE: STABLE_PODS}, {CANDIDATE}, now=10 * UNUSED_SECONDS)

    assert CANDIDATE in clusters.addresses


def test_a_cluster_that_is_used_again_has_no_deadline() -> None:
    clusters = both_used()
    clusters.update({STABLE: STABLE_PODS}, (), now=1.0)

    clusters.update({STABLE: STABLE_PODS, CANDIDATE: ()}, (), now=2.0)

    assert clusters.addresses[CANDIDATE] == ()
    assert clusters.deadlines() == []
