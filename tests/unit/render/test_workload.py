from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from slipway.api.base import Manifest
from slipway.api.modeldeployment import PodOptions, Protocol, Server, Toleration
from slipway.api.request import (
    AccessRequest,
    ConfigRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.render import triton, workload
from slipway.render.owner import Owner
from slipway.render.workload import Fetch, RevisionSpec
from slipway.settings import ModelPodSettings, PodUsers

FETCH = Fetch(
    image="registry.local/slipway@sha256:" + "b" * 64,
    request=PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to="/models",
        source=SourceRequest(uri="https://models.example.com/digits.onnx"),
        config=ConfigRequest(model_name="digits"),
    ),
)
WITH_CACHE = replace(FETCH, cache={"persistentVolumeClaim": {"claimName": "models"}})
MODEL_IMAGE = "registry.local/models/digits@sha256:" + "c" * 64


def a_revision(**changes: object) -> RevisionSpec:
    server = triton.TritonServer(
        image="registry.local/models/digits@sha256:" + "a" * 64,
        version="2.51.0",
        model_name="digits",
        protocols=(Protocol.HTTP, Protocol.GRPC),
        requests={"cpu": "100m", "memory": "512Mi"},
        limits={"nvidia.com/gpu": "1"},
        start_seconds=600,
        drain_seconds=30,
    )
    pod_options = PodOptions(
        node_selector={"pool": "gpu"},
        tolerations=[Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
        priority_class_name="serving",
    )

    revision = RevisionSpec(
        owner=Owner(name="digits", namespace="vision", uid="0f5c9f5e-7b1c-4bb0-8d7a-3b1f4d2f6a10"),
        revision="0123abcd",
        version="3",
        server=server,
        pod=pod_options,
        pull_secrets=("registry-pull",),
    )
    return replace(revision, **changes)  # type: ignore[arg-type]


def test_the_router_is_told_the_address_that_triton_listens_on() -> None:
    four = a_revision()
    six = replace(four, server=replace(four.server, is_ipv6=True))

    service = workload.render_service(six)
    kubernetes_validate.validate(service, kubernetes_validate.latest_version(), strict=True)

    families = {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}
    assert service["spec"] == workload.render_service(four)["spec"] | families


def everything(spec: RevisionSpec) -> list[Manifest]:
    return [
        workload.render_deployment(spec),
        workload.render_service(spec),
        workload.render_pdb(spec.owner, spec.revision),
    ]


def pod(spec: RevisionSpec) -> Manifest:
    template: Manifest = workload.render_deployment(spec)["spec"]["template"]["spec"]
    return template


@pytest.mark.parametrize(
    "fetch", [None, FETCH, WITH_CACHE], ids=["image", "fetch", "fetch with a cache"]
)
def test_manifests_are_valid_kubernetes(fetch: Fetch | None) -> None:
    for manifest in everything(a_revision(fetch=fetch)):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_children_belong_to_the_model_deployment() -> None:
    for manifest in everything(a_revision()):
        metadata = manifest["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("digits-0123abcd", "vision")
        assert [
            (owner["kind"], owner["name"], owner["controller"])
            for owner in metadata["ownerReferences"]
        ] == [("ModelDeployment", "digits", True)]


def test_replicas_are_left_to_the_scaler() -> None:
    assert "replicas" not in workload.render_deployment(a_revision())["spec"]


def test_service_and_pdb_select_exactly_the_pods_of_the_revision() -> None:
    deployment, service, pdb = everything(a_revision())
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = deployment["spec"]["selector"]["matchLabels"]

    assert selector == service["spec"]["selector"] == pdb["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert labels["slipway.dev/revision"] == "0123abcd"
    assert labels["slipway.dev/version"] == "3"


def test_the_version_selects_nothing_because_two_revisions_may_share_it() -> None:
    selector = workload.render_service(a_revision())["spec"]["selector"]
    assert "slipway.dev/version" not in selector


def test_no_label_is_argo_cds() -> None:
    for manifest in everything(a_revision()):
        assert "app.kubernetes.io/instance" not in manifest["metadata"]["labels"]


def test_the_service_names_the_protocol_of_each_port() -> None:
    ports = workload.render_service(a_revision())["spec"]["ports"]
    assert [(port["name"], port["port"], port["appProtocol"]) for port in ports] == [
        ("http", 8000, "http"),
        ("grpc", 8001, "kubernetes.io/h2c"),
        ("metrics", 8002, "http"),
    ]


@pytest.mark.parametrize("fetch", [None, FETCH], ids=["image", "fetch"])
def test_pods_meet_the_restricted_pod_security_standard(fetch: Fetch | None) -> None:
    spec = pod(a_revision(fetch=fetch))
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}

    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True

    assert all({"emptyDir", "persistentVolumeClaim"} & set(volume) for volume in spec["volumes"])


def test_the_models_code_gets_no_api_token() -> None:
    assert pod(a_revision())["automountServiceAccountToken"] is False


def test_users_options_reach_the_pod_and_unset_ones_do_not() -> None:
    spec = pod(a_revision())
    assert spec["nodeSelector"] == {"pool": "gpu"}
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert spec["priorityClassName"] == "serving"
    assert spec["imagePullSecrets"] == [{"name": "registry-pull"}]
    assert not {"affinity", "runtimeClassName", "env"} & set(spec)


def test_in_image_mode_the_model_is_in_the_image() -> None:
    spec = pod(a_revision())
    assert "initContainers" not in spec
    assert "/models" not in {m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}


def test_the_cache_is_written_by_who_fetches_and_never_seen_by_the_server() -> None:
    spec = pod(a_revision(fetch=WITH_CACHE))
    [_, fetcher], [server] = spec["initContainers"], spec["containers"]

    [volume] = [item for item in spec["volumes"] if "persistentVolumeClaim" in item]
    [mount] = [item for item in fetcher["volumeMounts"] if item["name"] == volume["name"]]
    assert mount == {"name": volume["name"], "mountPath": "/cache"}
    assert volume["name"] not in {item["name"] for item in server["volumeMounts"]}


def test_a_sidecar_holds_the_model_in_the_cache_from_before_it_is_fetched() -> None:
    source = FETCH.request.source.model_copy(update={"digest": f"sha256:{'d' * 64}"})
    request = FETCH.request.model_copy(update={"source": source})

    spec = pod(a_revision(fetch=replace(WITH_CACHE, request=request)))

    [holder, fetcher] = spec["initContainers"]
    used = f"/cache/slipway-models/{'d' * 64}.used"
    assert holder["restartPolicy"] == "Always"
    assert holder["image"] == fetcher["image"]
    assert holder["args"] == ["hold", used]
    assert [item["mountPath"] for item in holder["volumeMounts"]] == ["/cache"]
    assert "restartPolicy" not in fetcher


def test_in_volume_mode_the_server_reads_the_model_from_an_image_of_its_own() -> None:
    server = replace(a_revision().server, repository=workload.VOLUME_REPOSITORY)
    deployment = workload.render_deployment(a_revision(model_image=MODEL_IMAGE, server=server))
    kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)

    spec = deployment["spec"]["template"]["spec"]
    [volume] = [item for item in spec["volumes"] if "image" in item]
    [container] = spec["containers"]
    [mount] = [item for item in container["volumeMounts"] if item["name"] == volume["name"]]
    assert volume["image"] == {"reference": MODEL_IMAGE}
    assert mount["readOnly"]
    assert f"--model-repository={mount['mountPath']}/models" in container["args"]
    assert "initContainers" not in spec


def test_in_fetch_mode_the_init_container_writes_what_the_server_only_reads() -> None:
    spec = pod(a_revision(fetch=FETCH))
    [fetcher], [server] = spec["initContainers"], spec["containers"]
    [written] = [m for m in fetcher["volumeMounts"] if m["mountPath"] == "/models"]
    [read] = [m for m in server["volumeMounts"] if m["mountPath"] == "/models"]

    assert written["name"] == read["name"]
    assert read["readOnly"] is True
    assert "readOnly" not in written
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"]


def test_a_claim_is_mounted_for_the_init_container_only() -> None:
    request = FETCH.request.model_copy(update={"source": SourceRequest(uri="pvc://models/v3")})
    spec = pod(a_revision(fetch=replace(FETCH, request=request)))
    [claim] = [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]

    assert claim["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert claim["name"] in {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}
    assert claim["name"] not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize(
    ("uri", "annotations"),
    [
        ("s3://models/digits/", ["eks.amazonaws.com/skip-containers"]),
        ("az://models/digits/", ["azure.workload.identity/skip-containers"]),
        (
            "mlflow://digits@champion",
            ["eks.amazonaws.com/skip-containers", "azure.workload.identity/skip-containers"],
        ),
    ],
)
def test_the_identity_that_fetches_is_kept_from_the_models_code(
    uri: str, annotations: list[str]
) -> None:
    access = AccessRequest(secret="models-key", service_account="reader")  # noqa: S106 - a name
    source = SourceRequest(uri=uri, access=access)
    fetch = replace(FETCH, request=FETCH.request.model_copy(update={"source": source}))

    deployment = workload.render_deployment(a_revision(fetch=fetch))
    kubernetes_validate.validate(deployment, "1.37", strict=True)
    template = deployment["spec"]["template"]
    [server], [init] = template["spec"]["containers"], template["spec"]["initContainers"]

    assert template["spec"]["serviceAccountName"] == "reader"
    assert template["metadata"]["annotations"] == dict.fromkeys(annotations, server["name"])
    assert "source-secret" in [mount["name"] for mount in init["volumeMounts"]]
    assert "source-secret" not in [mount["name"] for mount in server["volumeMounts"]]


def test_a_revision_renders_the_same_every_time() -> None:
    assert everything(a_revision()) == everything(a_revision())


def a_spec(server: Manifest, **settings: Any) -> RevisionSpec:
    """Return a revision of what a user wrote under `server`, with settings of the administrator."""
    wanted = Server.model_validate(server)
    pod_options = wanted.pod or PodOptions()
    triton_server = replace(
        a_revision().server,
        args=tuple(wanted.args or ()),
        shm_size=pod_options.shm_size,
        tmp_size=pod_options.tmp_size,
    )
    return a_revision(server=triton_server, pod=pod_options, **settings)


VOLUMES: list[Manifest] = [
    {"name": "vocabulary", "mountPath": "/data/vocabulary", "configMap": {"name": "words"}},
    {"name": "key", "mountPath": "/data/key", "subPath": "a", "secret": {"secretName": "key"}},
    {
        "name": "cache",
        "mountPath": "/cache",
        "readOnly": True,
        "persistentVolumeClaim": {"claimName": "cache"},
    },
    {"name": "fast", "mountPath": "/fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    {
        "name": "vault",
        "mountPath": "/vault",
        "csi": {"driver": "secrets.csi.example", "volumeAttributes": {"role": "digits"}},
    },
]


def test_everything_that_users_may_set_on_a_pod_is_valid_kubernetes() -> None:
    spec = a_spec(
        {
            "args": ["--log-verbose=1", "--cache-config=local,size=1048576"],
            "pod": {
                "labels": {"team": "vision"},
                "annotations": {"prometheus.io/scrape": "true"},
                "serviceAccountName": "models",
                "schedulerName": "volcano",
                "env": [
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                    {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "c"}}},
                ],
                "volumes": VOLUMES,
                "shmSize": "2Gi",
                "tmpSize": "20Gi",
                "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
            },
        }
    )

    for manifest in everything(spec):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)

    template = workload.render_deployment(spec)["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    assert template["spec"]["serviceAccountName"] == "models"
    assert template["spec"]["schedulerName"] == "volcano"
    assert template["spec"]["automountServiceAccountToken"] is False

    [server] = template["spec"]["containers"]
    assert {"--log-verbose=1", "--cache-config=local,size=1048576"} <= set(server["args"])
    assert server["resources"]["claims"] == [{"name": "gpu"}]
    variables = {variable["name"]: variable for variable in server["env"]}
    assert variables["TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "a", "key": "b"}
    assert "value" not in variables["LEVEL"]


def test_a_volume_is_split_into_the_pods_volume_and_the_containers_mount() -> None:
    spec = pod(a_spec({"pod": {"volumes": VOLUMES}}))

    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounts = {mount["name"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    assert volumes["key"] == {"name": "key", "secret": {"secretName": "key"}}
    assert mounts["key"] == {"name": "key", "mountPath": "/data/key", "subPath": "a"}
    assert volumes["cache"] == {
        "name": "cache",
        "persistentVolumeClaim": {"claimName": "cache"},
    }
    assert mounts["cache"] == {"name": "cache", "mountPath": "/cache", "readOnly": True}
    assert {"tmp", "shm"} < set(volumes)


def test_memory_file_systems_have_the_sizes_that_users_give() -> None:
    volumes = pod(a_spec({"pod": {"shmSize": "2Gi", "tmpSize": "20Gi"}}))["volumes"]

    sizes = {volume["name"]: volume["emptyDir"]["sizeLimit"] for volume in volumes}
    assert sizes == {"shm": "2Gi", "tmp": "20Gi"}


def test_an_argument_of_the_user_replaces_ours_of_the_same_name() -> None:
    [server] = pod(a_spec({"args": ["--log-info=true"]}))["containers"]

    assert [item for item in server["args"] if item.startswith("--log-info=")] == [
        "--log-info=true"
    ]


def test_the_administrators_labels_are_defaults_and_ours_cannot_be_replaced() -> None:
    defaults = ModelPodSettings(
        labels={"sidecar.istio.io/inject": "false", "team": "platform", "slipway.dev/revision": "x"}
    )
    spec = a_spec({"pod": {"labels": {"team": "vision"}}}, defaults=defaults)

    labels = workload.render_deployment(spec)["spec"]["template"]["metadata"]["labels"]
    assert labels["sidecar.istio.io/inject"] == "false"
    assert labels["team"] == "vision"
    assert labels["slipway.dev/revision"] == "0123abcd"


@pytest.mark.parametrize("fetch", [None, FETCH], ids=["image", "fetch"])
def test_where_the_platform_chooses_users_a_pod_names_none(fetch: Fetch | None) -> None:
    context = pod(a_revision(fetch=fetch, users=PodUsers.PLATFORM))["securityContext"]

    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
