import pytest
from slipway.api.base import Manifest
from slipway.api.result import PackageResult
from slipway.jobs.package.base_image import MAX_VERSION_LENGTH, VERSION_LABEL, BaseImage
from slipway.jobs.registry.reference import parse_reference
from slipway.jobs.termination_message import serialize_result


def image(config: Manifest) -> BaseImage:
    reference = parse_reference("registry.local/triton:1")
    return BaseImage(reference, f"sha256:{'0' * 64}", (), {"config": config})


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({"Labels": {VERSION_LABEL: "2.51.0"}}, "2.51.0"),
        ({"Env": ["TRITON_SERVER_VERSION=2.51.0"]}, "2.51.0"),
        ({"Labels": None, "Env": None}, None),
        ({"Labels": {VERSION_LABEL: ""}}, None),
        ({"Labels": {VERSION_LABEL: "v" * 5_000}}, "v" * MAX_VERSION_LENGTH),
        ({"Env": [f"NVIDIA_TRITON_SERVER_VERSION={'v' * 5_000}"]}, "v" * MAX_VERSION_LENGTH),
    ],
)
def test_the_servers_version_is_that_of_the_base_image(
    config: Manifest, version: str | None
) -> None:
    assert image(config).server_version == version


def test_a_long_label_costs_nothing_else_of_the_result() -> None:
    found = image({"Labels": {VERSION_LABEL: "\u00e4" * 5_000}}).server_version

    result = PackageResult.model_validate_json(
        serialize_result(PackageResult(server_version=found, bytes=7).wire())
    )

    assert result == PackageResult(server_version=found, bytes=7)
