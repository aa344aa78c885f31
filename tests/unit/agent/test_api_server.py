"""How the agent trusts the API server: by a file that the kubelet renews."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slipway.agent.api_server import ApiServer, ApiServerClient
from slipway.api.kinds import MODEL_ROUTE
from slipway.errors import ClusterUnavailable

from tests.certificates import Authority
from tests.unit.agent.fake_api import NAMESPACE, FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    yield api
    await api.stop()


async def test_a_new_authority_is_trusted_once_the_kubelet_has_renewed_the_file(
    api: FakeApi, tmp_path: Path
) -> None:
    old, new, file = Authority.make("old"), Authority.make("new"), tmp_path / "ca.crt"
    file.write_bytes(old.pem)
    api.tls = old.server_context(tmp_path)
    await api.start()
    client = ApiServerClient(ApiServer(api.url, ca_file=file), NAMESPACE, "router-0")
    try:
        assert (await client.list(MODEL_ROUTE)).items == []

        await api.stop()
        api.tls = new.server_context(tmp_path)
        await api.start()
        with pytest.raises(ClusterUnavailable, match="certificate verify failed"):
            await client.list(MODEL_ROUTE)

        file.write_bytes("# Főtanúsítvány\n".encode() + old.pem + new.pem)
        assert (await client.list(MODEL_ROUTE)).items == []
    finally:
        await client.close()


async def test_a_file_that_is_gone_is_an_api_server_that_cannot_be_asked(
    api: FakeApi, tmp_path: Path
) -> None:
    await api.start()
    server = ApiServer(api.url, ca_file=tmp_path / "ca.crt")
    client = ApiServerClient(server, NAMESPACE, "router-0")
    try:
        with pytest.raises(ClusterUnavailable, match="No such file"):
            await client.list(MODEL_ROUTE)
    finally:
        await client.close()
