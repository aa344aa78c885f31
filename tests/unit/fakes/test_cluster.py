"""The fake cluster keeps the same contract as the real one, so that passes may be proved on it."""

import pytest
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, Kind

from tests.contract.kube.suite import ClusterContract
from tests.fakes.api import FakeApi
from tests.fakes.cluster import FakeCluster


class FakeSomebody:
    """Fits `suite.Somebody`."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api

    async def create(self, manifest: Manifest) -> None:
        self._api.create(manifest, manager="somebody")

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest) -> None:
        self._api.patch(kind, namespace, name, body, manager="somebody")

    async def observe(self, namespace: str, name: str) -> None:
        found = self._api.get(DEPLOYMENT, namespace, name)
        assert found is not None
        self._api.put_status(DEPLOYMENT, found, {"observedGeneration": 1})

    async def collect(self) -> None:
        self._api.collect_garbage()


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def cluster(api: FakeApi) -> FakeCluster:
    return FakeCluster(api)


@pytest.fixture
def somebody(api: FakeApi) -> FakeSomebody:
    return FakeSomebody(api)


@pytest.fixture
def namespace() -> str:
    return "vision"


class TestFakeCluster(ClusterContract):
    """So does the one in memory."""
