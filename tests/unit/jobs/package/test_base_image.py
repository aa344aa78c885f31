import pytest
from slipway.api.base import Manifest
from slipway.api.request import ModelFormat
from slipway.api.result import PackageResult
from slipway.errors import JobFailure
from slipway.jobs.package.base_image import (
    MAX_VERSION_LENGTH,
    VERSION_LABEL,
    BaseImage,
    require_backend,
)
from slipway.jobs.registry.reference import parse_reference
from slipway.jobs.termination_message import serialize_result


def image(config: Manifest) -> BaseImage:
    reference = parse_reference("registry.local/triton:1")
    return BaseImage(reference, "amd64", f"sha256:{'0' * 64}", (), {"config": config})


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


NVIDIAS = "nvcr.io/nvidia/tritonserver"


@pytest.mark.parametrize(
    ("name", "version", "is_served"),
    [
        (f"{NVIDIAS}:25.02-py3", "2.55.0", True),
        (f"{NVIDIAS}:25.03-py3", "2.56.0", False),
        (f"{NVIDIAS}:26.07-py3", "", False),
        (f"{NVIDIAS}@sha256:{'0' * 64}", "", True),
        ("mirror.example/nvidia/tritonserver:25.03-py3", "2.56.0", False),
        ("registry.example/ours/triton-with-tensorflow:1", "2.70.0", True),
    ],
)
def test_a_tensorflow_model_needs_an_image_that_may_have_its_backend(
    name: str, version: str, is_served: bool
) -> None:
    config = {"config": {"Labels": {VERSION_LABEL: version}}}
    base = BaseImage(parse_reference(name), "amd64", f"sha256:{'0' * 64}", (), config)

    require_backend(ModelFormat.ONNX, base)
    if is_served:
        require_backend(ModelFormat.TENSORFLOW, base)
    else:
        with pytest.raises(JobFailure, match=r"spec\.server\.image 25\.02"):
            require_backend(ModelFormat.TENSORFLOW, base)
