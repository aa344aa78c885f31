"""Hosts that are IPv6 addresses, where a name could stand."""

from typing import Any

import pytest
from pydantic import ValidationError
from slipway.api.modeldeployment import ModelDeploymentSpec
from slipway.jobs.http import address_problem

SOURCE = {"uri": "https://[fd00::1]:8443/digits/1.onnx"}


def a_spec(image: str, repository: str) -> dict[str, Any]:
    return {
        "model": {"version": "1", "source": SOURCE},
        "server": {"image": image},
        "packaging": {"repository": repository},
    }


@pytest.mark.parametrize("port", ["", ":5000"])
def test_an_address_of_ipv6_stands_in_brackets(port: str) -> None:
    host = f"[fd00:10::1]{port}"
    spec = a_spec(f"{host}/triton:26.07", f"{host}/models")

    assert ModelDeploymentSpec.model_validate(spec).wire()["server"] == spec["server"]
    assert address_problem(SOURCE["uri"]) is None


@pytest.mark.parametrize("host", ["fd00::1", "[fd00::1", "[]", "[fd00::1]x", "[YOUR-BUCKET]"])
def test_nothing_else_does(host: str) -> None:
    for bad in (
        a_spec(f"{host}/triton:26.07", "registry.example/models"),
        a_spec("registry.example/triton:26.07", f"{host}/models"),
    ):
        with pytest.raises(ValidationError):
            ModelDeploymentSpec.model_validate(bad)
