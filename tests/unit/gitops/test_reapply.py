"""No fights over fields: whoever applies the same YAML again changes nothing, in every stage."""

import asyncio
import copy

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Stage

from tests.unit.gitops.recorded import STORIES
from tests.unit.reconcile.world import OperatorWorld

TOOLS = ("kubectl", "argocd-controller", "kustomize-controller", "helm")


class Insistent(OperatorWorld):
    """A world in which tools apply the object again in each state that they find it in."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: Manifest | None = None
        self.tried: set[tuple[str, str]] = set()
        """Stage, and reason of Ready."""

    async def ask_for(self, version: str = "1", **spec: object) -> None:
        await super().ask_for(version, **spec)  # type: ignore[arg-type]
        # what the tool has in Git is what was applied, without what the API server added
        found = self.find(kinds.MODEL_DEPLOYMENT)
        metadata = {key: found["metadata"][key] for key in ("name", "namespace")}
        kept = {key: found[key] for key in ("apiVersion", "kind", "spec")}
        self.wanted = copy.deepcopy({**kept, "metadata": metadata})
        for tool in TOOLS:  # the first time a tool becomes an owner beside the others
            self.api.apply(copy.deepcopy(self.wanted), manager=tool, force=False)
        await self.work()

    async def live(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            await super().live()
            state = (self.stage(), self.condition("Ready")[1])
            if self.wanted is not None and state not in self.tried:
                self.tried.add(state)
                await self._apply_again()

    async def _apply_again(self) -> None:
        assert self.wanted is not None
        before, written = self._versions(), len(self.writes)
        for tool in TOOLS:
            # without force: a conflict would mean that the operator owns a field of the user's
            self.api.apply(copy.deepcopy(self.wanted), manager=tool, force=False)
        await self.work()
        assert self._versions() == before
        assert len(self.writes) == written

    def _versions(self) -> dict[str, str]:
        return {
            f"{kind.kind}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for kind, item in self.api.all()
        }


@pytest.fixture(scope="module")
def tried() -> dict[str, set[tuple[str, str]]]:
    return {name: asyncio.run(tell(name)) for name in STORIES}


async def tell(story: str) -> set[tuple[str, str]]:
    world = Insistent()
    await STORIES[story][0](world)
    return world.tried


def test_applying_again_changes_nothing_in_any_stage(
    tried: dict[str, set[tuple[str, str]]],
) -> None:
    stages = {stage for states in tried.values() for stage, _ in states}
    assert stages >= set(Stage)


def test_the_operator_never_owns_a_field_of_the_spec() -> None:
    async def story() -> Manifest:
        world = OperatorWorld()
        await STORIES["a good version"][0](world)
        return world.find(kinds.MODEL_DEPLOYMENT)

    entries = asyncio.run(story())["metadata"]["managedFields"]
    ours = [entry for entry in entries if entry["manager"].startswith("slipway")]
    assert ours
    assert not [entry for entry in ours if "f:spec" in entry["fieldsV1"]]
