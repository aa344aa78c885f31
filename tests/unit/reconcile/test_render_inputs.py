"""What Jobs and revisions are told of nodes, caches and images to mount."""

import pytest
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import PackageMode
from slipway.api.result import PackageResult
from slipway.api.snapshot import RevisionSnapshot
from slipway.reconcile import render_inputs
from slipway.settings import ModelPodSettings, OptimizerSettings, Settings

from tests.builders import a_model_deployment, facts_about

DIGEST = f"sha256:{'a' * 64}"
SETTINGS = Settings(
    operator_image="slipway:1",
    server_image="triton:1",
    model_pods=ModelPodSettings(architectures=["amd64", "arm64"], cache_host_paths=["/mnt/models"]),
)
IMAGES = {"repository": "registry.example/models"}


def a_snapshot(md: ModelDeployment, result: PackageResult) -> RevisionSnapshot:
    return render_inputs.build_snapshot(facts_about(md, input="0" * 64), result, SETTINGS)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, ["amd64", "arm64"]),
        ({"pool": "gpu"}, ["amd64", "arm64"]),
        ({"kubernetes.io/arch": "arm64"}, ["arm64"]),
    ],
)
def test_an_image_is_made_for_the_nodes_that_its_pods_may_run_on(
    selector: dict[str, str], expected: list[str]
) -> None:
    md = a_model_deployment(
        packaging={**IMAGES, "mode": "Image"}, server={"pod": {"nodeSelector": selector}}
    )

    assert render_inputs.build_package_request(md, SETTINGS).architectures == expected


def test_a_revision_to_mount_runs_the_server_as_it_is_beside_the_models_image() -> None:
    md = a_model_deployment(packaging={**IMAGES, "mode": "Volume"})
    server, model = f"triton@{DIGEST}", f"registry.example/models@{DIGEST}"

    snapshot = a_snapshot(md, PackageResult(model_digest=DIGEST, image=server, model_image=model))

    pod = snapshot.deployment["spec"]["template"]["spec"]
    assert (snapshot.mode, snapshot.image, snapshot.model_image) == (
        PackageMode.VOLUME,
        server,
        model,
    )
    assert pod["containers"][0]["image"] == server
    assert {"reference": model} in [volume.get("image") for volume in pod["volumes"]]
    assert "--model-repository=/model-image/models" in pod["containers"][0]["args"]


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        ({"claimName": "models"}, {"persistentVolumeClaim": {"claimName": "models"}}),
        (
            {"hostPath": "/mnt/models", "maxSize": "3Gi"},
            {"hostPath": {"path": "/mnt/models", "type": "Directory"}},
        ),
    ],
)
def test_pods_that_fetch_get_the_cache_and_its_size(
    cache: dict[str, str], volume: dict[str, object]
) -> None:
    md = a_model_deployment(packaging={"mode": "Fetch", "cache": cache})

    result = PackageResult(model_digest=DIGEST)
    pod = a_snapshot(md, result).deployment["spec"]["template"]["spec"]

    [kept] = [item for item in pod["volumes"] if item["name"] == "fetch-cache"]
    assert kept == {"name": "fetch-cache", **volume}
    size = 3 * 2**30 if "maxSize" in cache else 100 * 2**30
    assert render_inputs.build_fetch_request(md, SETTINGS, DIGEST, result).cache_bytes == size


def test_a_pod_that_converts_has_the_cache_and_the_memory_for_it() -> None:
    settings = SETTINGS.model_copy(update={"optimizer": OptimizerSettings(image="optimizer:1")})
    md = a_model_deployment(
        model={"optimize": {"precision": "FP16"}},
        packaging={"mode": "Fetch", "cache": {"claimName": "models"}},
    )
    facts = facts_about(md, input="0" * 64)

    snapshot = render_inputs.build_snapshot(facts, PackageResult(model_digest=DIGEST), settings)

    [_, fetcher] = snapshot.deployment["spec"]["template"]["spec"]["initContainers"]
    assert fetcher["image"] == "optimizer:1"
    assert fetcher["resources"]["limits"]["memory"] == "8Gi"
    assert "/cache" in {mount["mountPath"] for mount in fetcher["volumeMounts"]}


def test_a_converted_model_is_mounted_as_an_image_too() -> None:
    settings = SETTINGS.model_copy(update={"optimizer": OptimizerSettings(image="optimizer:1")})
    md = a_model_deployment(
        model={"optimize": {"precision": "FP16"}}, packaging={**IMAGES, "mode": "Volume"}
    )

    request = render_inputs.build_package_request(md, settings)

    assert request.mode is PackageMode.VOLUME
    assert request.optimize is not None
    assert request.architectures == ["amd64", "arm64"]
