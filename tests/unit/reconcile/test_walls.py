"""The NetworkPolicies around model servers: there before the pods, gone with the last need."""

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.errors import AdmissionDenied
from slipway.settings import ModelNetworkPolicies, WalledServers

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import NAMESPACE, SETTINGS, OperatorWorld

KEYS: Manifest = {"access": {"apiKeys": {"secretRef": {"name": "digits-keys"}}}}
BOTH = {names.SERVERS_NAME, names.JOBS_NAME}


class Refusal(Trouble):
    """No policy but the routers' may be written."""

    is_over = False

    def before(self, write: Write) -> None:
        if write.kind == kinds.NETWORK_POLICY.kind and write.name in BOTH and not self.is_over:
            raise AdmissionDenied("no more policies here")


def is_server(write: str) -> bool:
    return "Deployment" in write and "digits-" in write


async def with_traffic(traffic: Manifest, seconds: int = 30) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for(traffic=traffic)
    await world.live(seconds)
    return world


def policies(world: OperatorWorld) -> set[str]:
    return set(world.names(kinds.NETWORK_POLICY)) - {names.ROUTER_NAME}


def with_servers(world: OperatorWorld, servers: WalledServers) -> OperatorWorld:
    """Return the world after an upgrade to another setting."""
    twin = world.fork()
    wanted = ModelNetworkPolicies(servers=servers)
    twin.settings = SETTINGS.model_copy(update={"model_network_policies": wanted})
    twin.start()
    return twin


def walled(world: OperatorWorld) -> list[str]:
    selector = world.find(kinds.NETWORK_POLICY, names.SERVERS_NAME)["spec"]["podSelector"]
    values: list[str] = selector["matchExpressions"][0]["values"]
    return values


@pytest.mark.parametrize(
    "traffic",
    [
        {},
        {"access": {"log": "Requests"}},
        {"tlsSecretRef": {"name": "digits-tls"}},
    ],
    ids=str,
)
async def test_a_model_that_anybody_may_call_has_no_walls(traffic: Manifest) -> None:
    assert policies(await with_traffic(traffic)) == set()


@pytest.mark.parametrize(
    "traffic",
    [
        KEYS,
        {"access": {"serviceAccounts": {}}},
        {"tlsSecretRef": {"name": "a"}, "clientCASecretRef": {"name": "b"}},
    ],
    ids=str,
)
async def test_a_model_that_says_who_may_call_has_walls(traffic: Manifest) -> None:
    world = await with_traffic(traffic)
    assert policies(world) == BOTH
    assert walled(world) == ["digits"]


async def test_walls_stand_before_the_first_server() -> None:
    world = await with_traffic(KEYS)
    written = [str(write) for write in world.writes]
    wall = written.index(f"apply NetworkPolicy {NAMESPACE}/{names.SERVERS_NAME}")
    servers = [index for index, write in enumerate(written) if is_server(write)]
    assert servers
    assert wall < min(servers)


async def test_no_server_starts_without_its_walls_and_the_status_says_why() -> None:
    world = OperatorWorld()
    refusal = world.trouble = Refusal()
    world.start()
    await world.ask_for(traffic=KEYS)
    await world.live(120)
    assert not any(is_server(str(write)) for write in world.writes)
    assert world.condition("Ready")[2] == (
        "waiting for the NetworkPolicies around its pods"
        " (the router was refused: no more policies here)"
    )

    refusal.is_over = True
    await world.settle()
    assert world.serving() == "1"


async def test_what_serves_is_not_held_up_by_walls_that_cannot_be_built() -> None:
    world = await with_traffic({}, 60)
    world.trouble = Refusal()
    world.start()
    await world.ask_for(traffic=KEYS, scaling={"minReplicas": 2})
    await world.live(60)
    [server] = [name for name in world.names(kinds.DEPLOYMENT) if name != names.ROUTER_NAME]
    assert world.find(kinds.DEPLOYMENT, server)["spec"]["replicas"] == 2
    assert policies(world) == set()


async def test_walls_are_gone_with_the_last_model_that_needs_them() -> None:
    world = await with_traffic(KEYS)
    await world.ask_for(name="letters", traffic=KEYS)
    await world.live(5)
    assert walled(world) == ["digits", "letters"]

    await world.ask_for(name="letters", traffic={})
    await world.live(5)
    assert walled(world) == ["digits"]

    await world.ask_for(traffic={})
    await world.live(5)
    assert policies(world) == set()


@pytest.mark.parametrize("name", sorted(BOTH))
async def test_a_wall_that_somebody_deleted_is_back_ten_minutes_later(name: str) -> None:
    world = await with_traffic(KEYS)
    world.delete(kinds.NETWORK_POLICY, name)
    await world.live(601)
    assert policies(world) == BOTH


async def test_all_servers_get_walls_where_the_settings_say_so() -> None:
    world = with_servers(await with_traffic({}), WalledServers.ALL)
    await world.live(30)
    assert policies(world) == BOTH
    selector = world.find(kinds.NETWORK_POLICY, names.SERVERS_NAME)["spec"]["podSelector"]
    assert selector["matchLabels"][names.LABEL_COMPONENT] == names.COMPONENT_SERVER
    assert "matchExpressions" not in selector


async def test_walls_are_gone_where_the_settings_want_none() -> None:
    world = with_servers(await with_traffic(KEYS), WalledServers.NONE)
    await world.live(30)
    assert policies(world) == set()


async def test_an_upgrade_writes_nothing_for_models_that_anybody_may_call() -> None:
    world = await with_traffic({}, 90)
    twin = world.fork()
    before = len(twin.writes)
    twin.start()
    await twin.live(60)
    assert len(twin.writes) == before
