"""A connection to the running cluster, and a namespace of its own for each test."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slipway.adapters.connection import Connection, connect

KUBECONFIG = Path(os.environ.get("KUBECONFIG", ".cluster/kubeconfig"))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    if not KUBECONFIG.exists():  # noqa: ASYNC240 -- once
        pytest.skip(f"no cluster: {KUBECONFIG} is missing (make cluster)")
    connection = await connect(KUBECONFIG, user_agent="slipway-contract-test")
    yield connection
    await connection.close()


@pytest.fixture
async def namespace(connection: Connection) -> AsyncIterator[str]:
    name = f"kube-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    answer = await connection.request("POST", "/api/v1/namespaces", body=body)
    assert answer.is_success, answer.body
    yield name
    await connection.request("DELETE", f"/api/v1/namespaces/{name}")
