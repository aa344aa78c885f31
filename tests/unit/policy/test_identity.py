"""What makes another revision, and what does not; how Auto is resolved."""

from typing import Any, get_args

import pytest
from pydantic.alias_generators import to_camel
from slipway.api.base import Manifest
from slipway.api.canonical_json import canonical_json
from slipway.api.modeldeployment import ModelDeployment, PodOptions
from slipway.api.request import PackageMode
from slipway.errors import SpecError
from slipway.policy.identity import golden_hash, input_hash, resolve, revision_of
from slipway.settings import (
    ImageTarget,
    ModelPodSettings,
    PodField,
    RegistryAccess,
    Settings,
)

from tests.builders import a_model_deployment

BASE = input_hash(a_model_deployment().spec)
SOURCE = a_model_deployment().spec.model.source.wire()
SETTINGS = Settings(operator_image="slipway:1", server_image="triton:1")


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"name": "other"}},
        {"model": {"format": "ONNX"}},
        {"model": {"source": {"uri": "https://models.example/other.onnx"}}},
        {
            "model": {
                "source": {"uri": "https://models.example/1.onnx", "digest": f"sha256:{0:064}"}
            }
        },
        {"model": {"config": {"maxBatchSize": 8}}},
        {"model": {"warmup": {"requests": 1}}},
        {"packaging": {"mode": "Fetch"}},
        {"packaging": {"repository": "registry.example/models"}},
        {"packaging": {"mode": "Volume"}},
        {"packaging": {"cache": {"claimName": "models"}}},
        {"server": {"image": "triton:2"}},
        {"server": {"drainSeconds": 5}},
        {"server": {"pod": {"env": [{"name": "A", "value": "b"}]}}},
        {"model": {"source": {**SOURCE, "store": "minio"}}},
        {"model": {"source": {**SOURCE, "connection": {"endpoint": "https://other.example"}}}},
        {"model": {"source": {**SOURCE, "credentialsSecretRef": {"name": "key"}}}},
        {"model": {"source": {**SOURCE, "verify": {"key": "release"}}}},
    ],
    ids=canonical_json,
)
def test_what_is_served_makes_another_input(spec: dict[str, Any]) -> None:
    assert input_hash(a_model_deployment(**spec).spec) != BASE


def test_another_signer_makes_another_input_and_another_check_of_the_golden_set() -> None:
    def wanted(key: str | None) -> ModelDeployment:
        location = {**SOURCE, "verify": {"key": key}} if key else SOURCE
        return a_model_deployment(model={"source": location, "goldenSet": location})

    specs = [wanted(key).spec for key in (None, "release", "team")]

    assert len({input_hash(spec, is_packaged_once=True) for spec in specs}) == len(specs)
    assert len({golden_hash(spec.model.golden_set) for spec in specs}) == len(specs)


ACCESS: list[dict[str, Any]] = [
    {"credentialsSecretRef": {"name": "key"}},
    {"serviceAccountName": "reader"},
    {"connection": {"region": "eu-1", "caConfigMapRef": {"name": "ca"}}},
    {"connection": {}},
]


@pytest.mark.parametrize("access", ACCESS, ids=canonical_json)
def test_another_key_makes_no_other_model_where_pods_do_not_need_it(access: dict[str, Any]) -> None:
    spec = a_model_deployment(model={"source": {**SOURCE, **access}}).spec

    plain = input_hash(a_model_deployment().spec, is_packaged_once=True)
    assert input_hash(spec, is_packaged_once=True) == plain


@pytest.mark.parametrize("access", ACCESS, ids=canonical_json)
def test_another_key_makes_no_other_golden_set(access: dict[str, Any]) -> None:
    golden = {"uri": "https://models.example/golden.tar"}
    one, other = (
        a_model_deployment(model={"goldenSet": fields}).spec.model.golden_set
        for fields in (golden, {**golden, **access})
    )

    assert golden_hash(one) == golden_hash(other)


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}},
        {"packaging": {"pushSecretRef": {"name": "key"}}},
        {"packaging": {"pullSecretRefs": [{"name": "key"}]}},
        {"scaling": {"minReplicas": 7}},
        {"rollout": {"bakeSeconds": 1}},
        {"rollback": {"historyLimit": 3}},
        {"traffic": {"timeoutSeconds": 9}},
        {"paused": True},
        {"server": {}},
    ],
    ids=canonical_json,
)
def test_how_it_is_rolled_out_and_checked_makes_no_other_input(spec: dict[str, Any]) -> None:
    assert input_hash(a_model_deployment(**spec).spec) == BASE


def test_another_version_of_the_same_bytes_is_another_input() -> None:
    same = {"model": {"source": {"uri": "https://models.example/1.onnx"}}}
    assert input_hash(a_model_deployment("2", **same).spec) != BASE  # type: ignore[arg-type]


def test_a_revision_is_named_by_input_bytes_and_base() -> None:
    made = {
        revision_of(*parts)
        for parts in (
            ("i", "sha256:1", None),
            ("j", "sha256:1", None),
            ("i", "sha256:2", None),
            ("i", "sha256:1", "sha256:3"),
        )
    }
    assert len(made) == 4
    assert all(len(name) == 8 for name in made)


def test_another_bar_makes_another_golden_set() -> None:
    def golden(**changes: Any) -> str:
        wanted = {"uri": "https://models.example/golden.tar", **changes}
        return golden_hash(a_model_deployment(model={"goldenSet": wanted}).spec.model.golden_set)

    assert golden() != golden(minAgreement=0.5)
    assert golden_hash(None) == ""


# ── Auto ──


def mode(md: ModelDeployment, settings: Settings) -> PackageMode:
    return resolve(md, settings).mode


PREFIX = SETTINGS.model_copy(update={"registry": ImageTarget(prefix="registry.example/models")})
OPEN = PREFIX.model_copy(
    update={"registries": [RegistryAccess(host="registry.example", anonymous=True)]}
)


def test_auto_is_fetch_without_a_place_for_images_or_without_the_right_to_push() -> None:
    assert mode(a_model_deployment(), SETTINGS) is PackageMode.FETCH
    assert mode(a_model_deployment(), PREFIX) is PackageMode.FETCH


def test_auto_is_image_where_pushing_needs_no_secret_or_has_one() -> None:
    assert mode(a_model_deployment(), OPEN) is PackageMode.IMAGE
    secret = a_model_deployment(packaging={"pushSecretRef": {"name": "key"}})
    assert mode(secret, PREFIX) is PackageMode.IMAGE


def test_images_go_below_the_prefix_by_namespace_and_name() -> None:
    assert resolve(a_model_deployment(), OPEN).repository == "registry.example/models/vision/digits"


def test_image_mode_without_a_place_for_images_names_the_field() -> None:
    with pytest.raises(SpecError) as caught:
        resolve(a_model_deployment(packaging={"mode": "Image"}), SETTINGS)
    assert caught.value.path == "spec.packaging.repository"


def test_what_the_user_leaves_open_comes_from_the_settings() -> None:
    resolved = resolve(a_model_deployment(), SETTINGS)
    assert (resolved.base_image, resolved.start_seconds, resolved.drain_seconds) == (
        "triton:1",
        600,
        30,
    )
    assert list(resolved.protocols) == ["HTTP", "GRPC"]


@pytest.mark.parametrize(
    ("server", "forbidden", "path"),
    [
        ({"pod": {"serviceAccountName": "x"}}, "serviceAccountName", "pod.serviceAccountName"),
        ({"pod": {"shmSize": "1Gi"}}, "shmSize", "pod.shmSize"),
        ({"args": ["--log-verbose=1"]}, "args", "args"),
    ],
)
def test_a_field_that_the_settings_forbid_is_refused_by_its_name(
    server: Manifest, forbidden: str, path: str
) -> None:
    md = a_model_deployment(server=server)
    settings = SETTINGS.model_copy(
        update={"model_pods": ModelPodSettings.model_validate({"forbid": [forbidden]})}
    )

    resolve(md, SETTINGS)
    with pytest.raises(SpecError, match=r"modelPods\.forbid") as caught:
        resolve(md, settings)
    assert caught.value.path == f"spec.server.{path}"


def test_every_field_of_a_pod_can_be_forbidden() -> None:
    fields = {to_camel(name) for name in PodOptions.model_fields}
    assert fields | {"args"} == set(get_args(PodField))


@pytest.mark.parametrize(
    "server",
    [
        {"pod": {"labels": {"team": "vision"}}},
        {"pod": {"annotations": {"a": "b"}}},
        {"pod": {"serviceAccountName": "models"}},
        {"pod": {"schedulerName": "volcano"}},
        {"pod": {"volumes": [{"name": "a", "mountPath": "/a", "emptyDir": {}}]}},
        {"pod": {"shmSize": "1Gi"}},
        {"pod": {"tmpSize": "9Gi"}},
        {"pod": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}]}},
        {"args": ["--log-verbose=1"]},
    ],
)
def test_what_changes_pods_is_another_input(server: Manifest) -> None:
    assert input_hash(a_model_deployment(server=server).spec) != BASE


def test_the_order_of_volumes_and_the_spelling_of_sizes_make_no_other_input() -> None:
    first: Manifest = {"name": "a", "mountPath": "/a", "emptyDir": {}}
    second: Manifest = {"name": "b", "mountPath": "/b", "emptyDir": {}}
    one = a_model_deployment(server={"pod": {"volumes": [first, second], "shmSize": "1Gi"}})
    other = a_model_deployment(server={"pod": {"volumes": [second, first], "shmSize": "1024Mi"}})

    assert input_hash(one.spec) == input_hash(other.spec)
    assert input_hash(a_model_deployment(server={"pod": {"tmpSize": "8Gi"}}).spec) == BASE


def test_a_cache_is_part_of_the_input_only_where_pods_fetch() -> None:
    cache = {"claimName": "models"}
    spelled = {"claimName": "models", "maxSize": "100Gi"}
    with_cache, same, without = (
        a_model_deployment(packaging=packaging).spec
        for packaging in ({"cache": cache}, {"cache": spelled}, {})
    )

    assert input_hash(with_cache) == input_hash(same) != input_hash(without)
    assert input_hash(with_cache, is_packaged_once=True) == input_hash(
        without, is_packaged_once=True
    )


LENT = SETTINGS.model_copy(
    update={"model_pods": ModelPodSettings(cache_host_paths=["/mnt/models", "/data"])}
)


@pytest.mark.parametrize("path", ["/mnt/models", "/mnt/models/vision", "/data/"])
def test_a_directory_that_the_administrator_lends_may_be_the_cache(path: str) -> None:
    md = a_model_deployment(packaging={"mode": "Fetch", "cache": {"hostPath": path}})

    cache = resolve(md, LENT).cache

    assert cache is not None
    assert cache.host_path == path


@pytest.mark.parametrize("path", ["/etc", "/mnt/models-of-others", "/mnt/models/../../etc", "/"])
def test_any_other_directory_of_a_node_is_refused_with_those_that_are_lent(path: str) -> None:
    md = a_model_deployment(packaging={"mode": "Fetch", "cache": {"hostPath": path}})

    with pytest.raises(SpecError, match=r"packaging.cache.hostPath.*/mnt/models, /data"):
        resolve(md, LENT)


def test_volume_mode_without_a_place_for_images_names_the_field() -> None:
    md = a_model_deployment(packaging={"mode": "Volume"})

    with pytest.raises(SpecError, match=r"spec.packaging.repository: mode Volume needs"):
        resolve(md, SETTINGS)
