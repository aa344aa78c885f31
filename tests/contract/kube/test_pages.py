"""Every ModelDeployment that the pages show, whole or in part, is one that the API server takes.

Its CEL rules count here, and a field that the schema does not know is an error.
"""

import json
from dataclasses import replace

import pytest
from slipway.adapters.connection import Connection
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_DEPLOYMENT

from tests.pages import Block, blocks, model_deployment_of

pytestmark = pytest.mark.cluster

NAMESPACE = "default"
"""Nothing is stored there: all are dry runs."""
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}
EXAMPLES = [block for block in blocks("yaml") if model_deployment_of(block)]


def example(block: Block) -> Manifest:
    found = model_deployment_of(block)
    assert found is not None
    return {**found, "metadata": {**found["metadata"], "namespace": NAMESPACE}}


async def refusal(connection: Connection, manifest: Manifest) -> str:
    """Return why the API server does not take it; empty: it does."""
    version = manifest["apiVersion"].partition("/")[2]
    path = replace(MODEL_DEPLOYMENT, version=version).path(NAMESPACE)
    answer = await connection.request("POST", path, query=STRICT, body=manifest)
    return "" if answer.is_success else str(json.loads(answer.body)["message"])


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.name)
async def test_the_api_server_takes_an_example(connection: Connection, block: Block) -> None:
    assert await refusal(connection, example(block)) == ""


async def test_an_example_that_breaks_a_rule_would_be_found(connection: Connection) -> None:
    broken = example(EXAMPLES[0])
    broken["spec"]["model"]["source"]["uri"] = "ftp://models/1.onnx"

    assert "spec.model.source.uri" in await refusal(connection, broken)


async def test_an_example_with_an_unknown_field_would_be_found(connection: Connection) -> None:
    broken = example(EXAMPLES[0])
    broken["spec"]["rolout"] = {}

    assert "spec.rolout" in await refusal(connection, broken)
