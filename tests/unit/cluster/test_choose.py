"""Which cluster a machine gets."""

from dataclasses import replace

import pytest

from tests.cluster.choose import Kind, Machine, choose_kind
from tests.cluster.errors import ClusterError

BARE = Machine(context="", has_docker=False, system="Linux", is_root=False)


@pytest.mark.parametrize(
    ("machine", "want"),
    [
        pytest.param(
            Machine(context="mine", has_docker=True, system="Linux", is_root=True),
            Kind.EXISTING,
            id="a named context wins over everything",
        ),
        pytest.param(
            Machine(context="", has_docker=True, system="Linux", is_root=True),
            Kind.KIND,
            id="a Docker engine wins over root",
        ),
        pytest.param(replace(BARE, is_root=True), Kind.SINGLE_NODE, id="root on Linux needs none"),
        pytest.param(
            Machine(context="", has_docker=True, system="Darwin", is_root=False),
            Kind.KIND,
            id="another system with Docker",
        ),
    ],
)
def test_choose(machine: Machine, want: Kind) -> None:
    assert choose_kind(machine) is want


@pytest.mark.parametrize(
    ("machine", "ways"),
    [
        pytest.param(BARE, ("start Docker", "root", "SLIPWAY_CONTEXT"), id="an ordinary user"),
        pytest.param(
            replace(BARE, system="Darwin", is_root=True),
            ("Darwin", "start Docker", "SLIPWAY_CONTEXT"),
            id="root where there is no Linux",
        ),
    ],
)
def test_where_no_cluster_is_possible_one_sentence_says_how_to_get_one(
    machine: Machine, ways: tuple[str, ...]
) -> None:
    with pytest.raises(ClusterError) as refused:
        choose_kind(machine)
    assert all(way in str(refused.value) for way in ways)
    assert "\n" not in str(refused.value)
