from dataclasses import replace

import pytest
from slipway.agent.acknowledge import FileState, RefusedUpdates, judge_files
from slipway.agent.admin import Observed, parse_observed
from slipway.render.envoy import CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE

WRITTEN = {CLUSTERS_FILE: "c2", LISTENERS_FILE: "l1", ROUTES_FILE: "r2"}
CURRENT = Observed("monday", versions=WRITTEN, refused=dict.fromkeys(WRITTEN, 0))
BEHIND = replace(CURRENT, versions=WRITTEN | {ROUTES_FILE: "r1"})


def settled(observed: Observed) -> RefusedUpdates:
    refusals = RefusedUpdates()
    refusals.settle(observed)
    return refusals


def test_versions_that_match_are_in_force() -> None:
    assert judge_files(WRITTEN, CURRENT, settled(CURRENT), listeners=True) == (
        FileState.IN_FORCE,
        [],
    )


@pytest.mark.parametrize("file", [CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE])
def test_one_version_behind_is_pending(file: str) -> None:
    behind = replace(CURRENT, versions=WRITTEN | {file: "old"})
    assert judge_files(WRITTEN, behind, settled(CURRENT), listeners=True) == (FileState.PENDING, [])


def test_without_a_listener_envoy_reads_no_routes() -> None:
    no_routes = replace(CURRENT, versions={CLUSTERS_FILE: "c2", LISTENERS_FILE: "l1"})
    outcome, _ = judge_files(WRITTEN, no_routes, settled(CURRENT), listeners=False)
    assert outcome is FileState.IN_FORCE


def test_a_counter_that_grew_is_a_refusal_of_its_file() -> None:
    refused = replace(BEHIND, refused={ROUTES_FILE: 1, LISTENERS_FILE: 1})
    assert judge_files(WRITTEN, refused, settled(CURRENT), listeners=True) == (
        FileState.REFUSED,
        [ROUTES_FILE],
    )


def test_a_refusal_that_was_dealt_with_does_not_count_again() -> None:
    old = replace(BEHIND, refused={ROUTES_FILE: 1})
    outcome, _ = judge_files(WRITTEN, old, settled(old), listeners=True)
    assert outcome is FileState.PENDING


def test_a_restarted_envoy_counts_from_zero() -> None:
    old = replace(BEHIND, refused={ROUTES_FILE: 3})
    new = replace(BEHIND, start="tuesday", refused={ROUTES_FILE: 1})
    outcome, _ = judge_files(WRITTEN, new, settled(old), listeners=True)
    assert outcome is FileState.REFUSED


def test_versions_and_refusals_are_read_from_the_statistics() -> None:
    found = parse_observed(
        "monday",
        [
            {"name": "listener_manager.lds.version_text", "value": "l1"},
            {"name": "cluster_manager.cds.version_text", "value": ""},
            {"name": "http.router.rds.models.update_rejected", "value": 1},
            {"name": "http.router.rds.models.update_failure", "value": 1},
            {"name": "cluster.digits/0123abcd/http.version_text", "value": "e1"},
            {"name": "cluster.digits/0123abcd/grpc.version_text", "value": ""},
            {"histograms": []},
        ],
    )

    assert found.versions == {LISTENERS_FILE: "l1"}
    assert found.refused == {LISTENERS_FILE: 0, CLUSTERS_FILE: 0, ROUTES_FILE: 2}
    assert found.endpoints == {"digits/0123abcd/http": "e1"}
