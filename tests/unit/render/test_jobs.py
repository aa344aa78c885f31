import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from slipway.api.base import Manifest
from slipway.api.request import (
    AccessRequest,
    CheckRequest,
    ConfigRequest,
    GoldenRequest,
    PackageMode,
    PackageRequest,
    SourceRequest,
)
from slipway.render.fetch import render_fetch_container, render_fetch_volumes
from slipway.render.jobs import CheckJobSpec, PackageJobSpec, render_check_job, render_package_job
from slipway.render.owner import Owner
from slipway.settings import JobSettings, PodSettings, PodUsers, RegistryAccess

OWNER = Owner(name="digits", namespace="vision", uid="0f5c9f5e-7b1c-4bb0-8d7a-3b1f4d2f6a10")
IMAGE = "registry.local/slipway@sha256:" + "b" * 64
REQUEST = PackageRequest(
    mode=PackageMode.IMAGE,
    source=SourceRequest(uri="https://models.example.com/digits.tar.gz"),
    config=ConfigRequest(model_name="digits"),
    base_image="nvcr.io/nvidia/tritonserver:26.07-py3",
    repository="registry.local/models/digits",
)
PACKAGE = PackageJobSpec(OWNER, IMAGE, "0123456789abcdef", 2, REQUEST)
CHECK = CheckJobSpec(
    OWNER,
    IMAGE,
    "0123abcd",
    0,
    1,
    CheckRequest(http="digits-0123abcd.vision:8000", model_name="digits", timeout_seconds=60),
)


def package(**changes: Any) -> Manifest:
    job = render_package_job(
        replace(PACKAGE, request=REQUEST.model_copy(update=changes.pop("request", {})), **changes)
    )
    assert_valid(job)
    return job


def check(**changes: Any) -> Manifest:
    job = render_check_job(
        replace(
            CHECK, request=CHECK.request.model_copy(update=changes.pop("request", {})), **changes
        )
    )
    assert_valid(job)
    return job


def assert_valid(job: Manifest) -> None:
    kubernetes_validate.validate(job, "1.37", strict=True)


def pod(job: Manifest) -> Manifest:
    spec: Manifest = job["spec"]["template"]["spec"]
    return spec


def container(job: Manifest) -> Manifest:
    (only,) = pod(job)["containers"]
    assert isinstance(only, dict)
    return only


def mounts(job: Manifest) -> dict[str, str]:
    return {item["mountPath"]: item["name"] for item in container(job)["volumeMounts"]}


def volumes(job: Manifest) -> dict[str, Manifest]:
    return {item["name"]: item for item in pod(job)["volumes"]}


def sent(job: Manifest) -> Manifest:
    (variable,) = container(job)["env"]
    assert variable["name"] == "SLIPWAY_REQUEST"
    order: Manifest = json.loads(variable["value"].replace("$$", "$"))
    return order


@pytest.mark.parametrize(
    ("job", "name", "component"),
    [
        (package(), "digits-package-01234567-2", "package"),
        (check(), "digits-check-0123abcd-0-1", "check"),
    ],
    ids=["package", "check"],
)
class TestBoth:
    def test_it_has_our_names_and_belongs_to_its_owner(
        self, job: Manifest, name: str, component: str
    ) -> None:
        (owner,) = job["metadata"]["ownerReferences"]

        assert job["metadata"]["name"] == name
        assert job["metadata"]["labels"]["slipway.dev/component"] == component
        assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]
        assert (owner["name"], owner["uid"], owner["controller"]) == ("digits", OWNER.uid, True)
        assert container(job)["name"] == component
        assert container(job)["args"] == [component]

    def test_it_runs_under_restricted_pod_security_and_without_a_token(
        self, job: Manifest, name: str, component: str
    ) -> None:
        del name, component
        assert pod(job)["securityContext"]["runAsNonRoot"]
        assert pod(job)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(job)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod(job)["automountServiceAccountToken"] is False
        assert "fsGroup" not in pod(job)["securityContext"], "it would change owners in a claim"

    def test_only_passing_trouble_is_tried_again(
        self, job: Manifest, name: str, component: str
    ) -> None:
        del name
        rules = job["spec"]["podFailurePolicy"]["rules"]
        by_code = {
            rule["onExitCodes"]["values"][0]: (rule["action"], rule["onExitCodes"]["containerName"])
            for rule in rules
            if "onExitCodes" in rule
        }

        assert by_code == {1: ("FailJob", component), 75: ("Count", component)}
        assert rules[0]["action"] == "Ignore"
        assert 2 <= job["spec"]["backoffLimit"] <= 3
        assert pod(job)["restartPolicy"] == "Never"

    def test_it_ends_by_itself_and_stays_until_its_result_is_stored(
        self, job: Manifest, name: str, component: str
    ) -> None:
        del name
        assert job["spec"]["activeDeadlineSeconds"] > 0
        if component == "package":
            seconds_in_and_out = 2 * 200e9 / 30e6
            assert job["spec"]["activeDeadlineSeconds"] > 2 * seconds_in_and_out
        assert "ttlSecondsAfterFinished" not in job["spec"]

    def test_it_can_write_where_it_must(self, job: Manifest, name: str, component: str) -> None:
        del name, component
        assert {"/scratch", "/tmp"} <= mounts(job).keys()  # noqa: S108


def test_the_request_arrives_as_it_was_given() -> None:
    raw = 'parameters { key: "a" value { string_value: "$(HOME) $$ $x" } }'
    config = ConfigRequest(model_name="digits", raw=raw)

    assert sent(package(request={"config": config}))["config"]["raw"] == raw


def test_secrets_are_mounted_by_number() -> None:
    job = package(push_secret="push", pull_secrets=("one", "two"))  # noqa: S106

    assert mounts(job).keys() >= {"/secrets/push", "/secrets/pull/0", "/secrets/pull/1"}
    assert volumes(job)["pull-1"]["secret"] == {"secretName": "two"}
    assert sent(job)["pullSecrets"] == 2


def test_only_authorities_of_registries_that_it_uses_are_mounted() -> None:
    registries = [
        RegistryAccess(host="other.local", ca_config_map="other"),
        RegistryAccess(host="registry.local", ca_config_map="ours"),
    ]
    job = package(request={"registries": registries})

    assert mounts(job)["/ca/1"] == "ca-1"
    assert "/ca/0" not in mounts(job)
    assert volumes(job)["ca-1"]["configMap"] == {"name": "ours"}


def test_a_claim_is_mounted_read_only() -> None:
    source = SourceRequest(uri="pvc://models/digits/3")
    job = package(request={"source": source})

    claim = volumes(job)["source"]["persistentVolumeClaim"]
    assert claim == {"claimName": "models", "readOnly": True}
    (mount,) = (item for item in container(job)["volumeMounts"] if item["name"] == "source")
    assert mount == {"name": "source", "mountPath": "/source", "readOnly": True}


def test_a_golden_set_in_a_claim_is_mounted_for_the_check() -> None:
    golden = GoldenRequest(source=SourceRequest(uri="pvc://golden/digits"))
    job = check(request={"golden": golden})

    assert mounts(job)["/golden"] == "golden"
    assert volumes(job)["golden"]["persistentVolumeClaim"]["claimName"] == "golden"


ACCESS = AccessRequest(
    secret="models-key",  # noqa: S106 - a name
    service_account="reader",
    ca_config_map="company-ca",
)


@pytest.mark.parametrize(
    ("job", "source"),
    [
        (package, lambda source: {"source": source}),
        (check, lambda source: {"golden": GoldenRequest(source=source)}),
    ],
)
def test_what_lets_one_in_is_mounted_and_never_holds_a_pod_up(
    job: Callable[..., Manifest], source: Callable[[SourceRequest], dict[str, Any]]
) -> None:
    made = job(request=source(SourceRequest(uri="az://models/digits/", access=ACCESS)))

    assert mounts(made)["/secrets/source"] == "source-secret"
    assert volumes(made)["source-secret"]["secret"] == {
        "secretName": "models-key",
        "optional": True,
    }
    assert mounts(made)["/ca/source"] == "source-ca"
    assert volumes(made)["source-ca"]["configMap"] == {"name": "company-ca", "optional": True}
    assert pod(made)["serviceAccountName"] == "reader"
    assert not pod(made)["automountServiceAccountToken"]
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["azure.workload.identity/use"] == "true"


@pytest.mark.parametrize(
    ("uri", "value"), [("mlflow://digits@champion", "true"), ("gs://m/", None)]
)
def test_azures_webhook_is_told_of_pods_whose_files_may_be_in_azure(
    uri: str, value: str | None
) -> None:
    access = AccessRequest(service_account="reader")
    made = package(request={"source": SourceRequest(uri=uri, access=access)})

    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels.get("azure.workload.identity/use") == value


def test_the_fetch_container_writes_to_the_model_volume_only() -> None:
    request = PackageRequest(
        mode=PackageMode.FETCH,
        deliver_to="/models",
        source=SourceRequest(uri="pvc://models/digits"),
        config=ConfigRequest(model_name="digits"),
    )

    rendered = render_fetch_container(IMAGE, request, "models")

    assert (rendered["name"], rendered["args"]) == ("fetch", ["package"])
    writable = [item for item in rendered["volumeMounts"] if not item.get("readOnly")]
    assert writable == [{"name": "models", "mountPath": "/models"}]
    assert [item["name"] for item in render_fetch_volumes(request)] == ["source"]
    assert render_fetch_volumes(REQUEST) == []


@pytest.mark.parametrize("render", [package, check])
def test_the_administrator_sets_where_and_with_which_secrets_jobs_run(
    render: Callable[..., Manifest],
) -> None:
    pods = PodSettings.model_validate(
        {
            "imagePullSecrets": [{"name": "mirror"}],
            "nodeSelector": {"pool": "batch"},
            "resources": {"limits": {"memory": "8Gi"}},
        }
    )
    usual = render()["spec"]["template"]["spec"]
    pod = render(pods=pods)["spec"]["template"]["spec"]

    assert "imagePullSecrets" not in usual
    assert pod["imagePullSecrets"] == [{"name": "mirror"}]
    assert pod["nodeSelector"] == {"pool": "batch"}

    [container], [before] = pod["containers"], usual["containers"]
    assert container["resources"] == {**before["resources"], "limits": {"memory": "8Gi"}}


@pytest.mark.parametrize("render", [package, check])
def test_meshes_are_told_not_to_join_a_job_which_would_then_never_end(
    render: Callable[..., Manifest],
) -> None:
    template = render(pods=JobSettings())["spec"]["template"]

    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert template["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
    assert template["metadata"]["labels"]["slipway.dev/component"] in {"package", "check"}


@pytest.mark.parametrize("render", [package, check])
def test_where_the_platform_chooses_users_a_job_names_none(
    render: Callable[..., Manifest],
) -> None:
    pod = render(users=PodUsers.PLATFORM)["spec"]["template"]["spec"]

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
