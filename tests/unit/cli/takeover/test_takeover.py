import json
from pathlib import Path

import pytest
import yaml
from slipway.api.modeldeployment import ModelDeploymentSpec
from slipway.cli.cli_error import CliError
from slipway.cli.takeover.progressive import seconds_of
from slipway.cli.takeover.takeover import UNKNOWN_SOURCE, Takeover
from slipway.cli.takeover.workloads import describe_takeover, import_one

from tests.unit.cli.conftest import Program
from tests.unit.cli.takeover.old_objects import (
    Manifest,
    autoscaler,
    canary,
    deployment,
    inference_service,
    pod,
    rollout,
    service,
    triton,
)


def imported(old: Manifest, *around: Manifest) -> Takeover:
    """Import, and check that the types of the API take what comes out."""
    draft = import_one(old, around)
    source = draft.spec["model"]["source"]
    if source["uri"] != UNKNOWN_SOURCE:
        ModelDeploymentSpec.model_validate(draft.spec)
    return draft


def left(draft: Takeover) -> dict[str, str]:
    return {found.field: found.reason for found in draft.left}


def test_a_deployment_becomes_a_model_with_its_image_resources_and_source() -> None:
    draft = imported(deployment(), service())
    assert draft.manifest()["metadata"] == {"name": "digits-slipway", "namespace": "vision"}
    assert draft.spec["model"] == {"version": "3", "source": {"uri": "s3://models/digits/"}}
    assert draft.spec["server"]["image"] == "nvcr.io/nvidia/tritonserver:26.07-py3"
    assert draft.spec["server"]["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert draft.spec["server"]["pod"]["annotations"] == {"team": "vision"}
    assert draft.spec["scaling"] == {"minReplicas": 2}
    assert draft.services == ["digits"]
    assert draft.left == []


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(["--model-repository=gs://b/m"], "gs://b/m/", id="one word"),
        pytest.param(["--model-repository", "gs://b/m"], "gs://b/m/", id="two words"),
        pytest.param(
            ["sh", "-c", "exec tritonserver --model-store=gs://b/m --log-verbose=1"],
            "gs://b/m/",
            id="a line of a shell",
        ),
    ],
)
def test_the_repository_is_read_however_it_is_written(args: list[str], expected: str) -> None:
    draft = imported(deployment(pod(triton(args=args))))
    assert draft.spec["model"]["source"]["uri"] == expected


def test_an_endpoint_in_the_address_becomes_one_of_the_connection() -> None:
    args = ["--model-repository=s3://https://minio.example.com:9000/models/digits"]
    source = imported(deployment(pod(triton(args=args)))).spec["model"]["source"]
    assert source["uri"] == "s3://models/digits/"
    assert source["connection"] == {"endpoint": "https://minio.example.com:9000"}


def test_a_claim_under_the_repository_is_the_source_and_no_volume() -> None:
    mounts = [{"name": "models", "mountPath": "/models", "subPath": "vision"}]
    container = triton(args=["--model-repository=/models/digits"], volumeMounts=mounts)
    claim = {"name": "models", "persistentVolumeClaim": {"claimName": "nfs"}}
    draft = imported(deployment(pod(container, volumes=[claim])))
    assert draft.spec["model"]["source"]["uri"] == "pvc://nfs/vision/digits"
    assert "volumes" not in draft.spec["server"]["pod"]


def test_what_an_init_container_fetches_is_the_source() -> None:
    fetch = {"name": "fetch", "args": ["s3", "cp", "--recursive", "s3://models/digits", "/models"]}
    container = triton(args=["--model-repository=/models"])
    draft = imported(deployment(pod(container, initContainers=[fetch])))
    assert draft.spec["model"]["source"]["uri"] == "s3://models/digits/"


def test_a_source_that_nobody_can_see_is_asked_for() -> None:
    draft = imported(deployment(pod(triton(args=["--model-repository=/opt/models"]))))
    assert draft.spec["model"]["source"]["uri"] == UNKNOWN_SOURCE
    assert "set model.source.uri" in left(draft)["spec.template.spec.containers[triton]"]


def test_keys_of_a_secret_become_the_credentials_of_the_source() -> None:
    reference = {"name": "store", "key": "AWS_ACCESS_KEY_ID"}
    env = [
        {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": reference}},
        {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": reference}},
        {"name": "AWS_REGION", "value": "eu-central-1"},
        {"name": "LABELS", "value": "en"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]
    draft = imported(deployment(pod(triton(env=env))))
    assert draft.spec["model"]["source"]["credentialsSecretRef"] == {"name": "store"}
    assert draft.spec["model"]["source"]["connection"] == {"region": "eu-central-1"}
    assert draft.spec["server"]["pod"]["env"] == [{"name": "LABELS", "value": "en"}]
    assert list(left(draft)) == ["spec.template.spec.containers[triton].env[NODE]"]


def test_placement_volumes_and_shared_memory_come_along() -> None:
    mounts = [
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 -- of the old pod
        {"name": "labels", "mountPath": "/labels", "readOnly": True},
        {"name": "host", "mountPath": "/host"},
    ]
    volumes = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "labels", "configMap": {"name": "labels", "defaultMode": 420}},
        {"name": "host", "hostPath": {"path": "/data"}},
    ]
    template = pod(triton(volumeMounts=mounts), volumes=volumes, nodeSelector={"gpu": "l4"})
    draft = imported(deployment(template))
    taken = draft.spec["server"]["pod"]
    assert taken["nodeSelector"] == {"gpu": "l4"}
    assert taken["shmSize"] == "1Gi"
    assert taken["volumes"] == [
        {
            "name": "labels",
            "mountPath": "/labels",
            "configMap": {"name": "labels"},
            "readOnly": True,
        }
    ]
    assert list(left(draft)) == ["spec.template.spec.volumes[host]"]


def test_arguments_are_taken_set_by_slipway_or_named() -> None:
    args = [
        "--model-repository=s3://m/d",
        "--load-model=digits",
        "--model-control-mode=explicit",
        "--pinned-memory-pool-byte-size=1024",
        "--repository-poll-secs=5",
    ]
    draft = imported(deployment(pod(triton(args=args))))
    assert draft.spec["model"]["name"] == "digits"
    assert draft.spec["server"]["args"] == ["--pinned-memory-pool-byte-size=1024"]
    assert list(left(draft).values()) == ["--repository-poll-secs=5: server.args does not take it"]


def test_fields_that_slipway_does_not_have_are_named_each() -> None:
    sidecar = {"name": "logger", "image": "fluent-bit"}
    draft = imported(deployment(pod(triton(lifecycle={}), sidecar, hostNetwork=True)))
    assert set(left(draft)) == {
        "spec.template.spec.hostNetwork",
        "spec.template.spec.containers[logger]",
        "spec.template.spec.containers[triton].lifecycle",
    }


def test_an_autoscaler_by_cpu_becomes_the_engine_hpa() -> None:
    draft = imported(deployment(), autoscaler())
    assert draft.spec["scaling"] == {
        "minReplicas": 2,
        "maxReplicas": 6,
        "engine": "HPA",
        "target": {"resource": "CPU", "utilizationPercent": 60},
    }


def test_an_autoscaler_by_another_metric_leaves_its_bounds_only() -> None:
    draft = imported(deployment(), autoscaler(type="External", external={}))
    assert draft.spec["scaling"] == {"minReplicas": 2, "maxReplicas": 6}
    assert "HorizontalPodAutoscaler/digits spec.metrics" in left(draft)


def test_what_belongs_to_another_workload_is_not_taken() -> None:
    other = autoscaler()
    other["spec"]["scaleTargetRef"]["name"] = "faces"
    elsewhere = service("faces")
    elsewhere["spec"]["selector"] = {"app": "faces"}
    draft = imported(deployment(), other, elsewhere)
    assert (draft.spec["scaling"], draft.services, draft.left) == ({"minReplicas": 2}, [], [])


def test_a_port_that_slipways_service_lacks_is_named() -> None:
    assert "Service/digits port 80" in left(imported(deployment(), service(port=80)))


def test_an_inference_service_keeps_its_name_for_clients() -> None:
    draft = imported(inference_service(scaleTarget=8))
    assert draft.spec["model"]["name"] == "digits"
    assert draft.spec["model"]["source"]["uri"] == "gs://models/digits/"
    assert draft.spec["scaling"] == {
        "minReplicas": 1,
        "maxReplicas": 3,
        "target": {"concurrency": 8},
    }
    assert "image" not in draft.spec["server"]
    assert draft.left == []


def test_what_kserve_does_beside_the_predictor_is_named() -> None:
    old = inference_service(minReplicas=0, canaryTrafficPercent=10)
    old["spec"]["transformer"] = {"containers": []}
    assert set(left(imported(old))) == {
        "spec.transformer",
        "spec.predictor.minReplicas",
        "spec.predictor.canaryTrafficPercent",
    }


def test_pauses_of_a_rollout_become_holds_and_approvals() -> None:
    steps: tuple[Manifest, ...] = (
        {"setWeight": 10},
        {"pause": {"duration": "10m"}},
        {"setWeight": 50},
        {"pause": {}},
        {"setWeight": 80},
        {"analysis": {"templates": []}},
    )
    draft = imported(rollout(*steps, template=pod()))
    assert draft.spec["rollout"]["steps"] == [
        {"weight": 10, "holdSeconds": 600},
        {"weight": 50},
        {"weight": 80, "approval": "Required"},
    ]
    assert list(left(draft)) == ["spec.strategy.canary.steps[5] (analysis)"]


def test_a_rollout_of_a_deployment_takes_its_pods() -> None:
    reference = {"kind": "Deployment", "name": "digits"}
    draft = imported(rollout({"setWeight": 20}, workloadRef=reference), deployment())
    assert draft.origin == "Rollout/digits"
    assert draft.spec["model"]["source"]["uri"] == "s3://models/digits/"


def test_blue_and_green_of_a_rollout_stay_blue_and_green() -> None:
    old = rollout(template=pod())
    switch = {"autoPromotionEnabled": False, "scaleDownDelaySeconds": 300, "activeService": "web"}
    old["spec"]["strategy"] = {"blueGreen": switch}
    draft = imported(old)
    asked = {"strategy": "BlueGreen", "approval": "Required", "bakeSeconds": 300}
    assert draft.spec["rollout"] == asked
    assert list(left(draft)) == ["spec.strategy.blueGreen.activeService"]


def test_a_canary_climbs_as_it_did_by_flagger() -> None:
    metrics: list[Manifest] = [{"name": "request-success-rate"}]
    draft = imported(canary(stepWeight=20, maxWeight=60, metrics=metrics), deployment())
    assert draft.spec["rollout"]["steps"] == [
        {"weight": weight, "holdSeconds": 30} for weight in (20, 40, 60)
    ]
    assert "judged beside stable" in left(draft)["spec.analysis.metrics"]


def test_a_canary_whose_deployment_is_missing_says_so() -> None:
    assert "Deployment/digits was not found" in left(imported(canary(stepWeight=10)))["spec"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), (90, 90), ("soon", 0)]
)
def test_durations_are_those_of_both_projects(text: object, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "old", [{"kind": "StatefulSet", "metadata": {"name": "x"}}, {"kind": "Deployment"}, {}]
)
def test_what_cannot_be_imported_is_named(old: Manifest) -> None:
    with pytest.raises(CliError, match=r"cannot import kind|is not what its type says"):
        import_one(old, ())


def test_the_comments_say_what_is_missing_and_what_comes_next() -> None:
    lines = "\n".join(describe_takeover(imported(deployment(), service(port=80))))
    assert "From Deployment/digits in namespace vision." in lines
    assert "* Service/digits port 80: clients reach Slipway at 8000 and 8001" in lines
    assert "of Service digits to Service digits-slipway" in lines


def test_a_file_is_imported_without_a_cluster(run: Program, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump_all([service(), deployment()]))
    done = run("import", "-f", str(file))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("# From Deployment/digits")
    assert yaml.safe_load(done.out)["kind"] == "ModelDeployment"


def test_json_has_the_manifest_and_what_is_not_in_it(run: Program, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump(deployment(pod(hostNetwork=True))))
    found = json.loads(run("import", "-f", str(file), "--json").out)
    assert found["manifest"]["metadata"]["name"] == "digits-slipway"
    assert [it["field"] for it in found["notTakenOver"]] == ["spec.template.spec.hostNetwork"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [((), "give KIND/NAME, or -f FILE"), (("digits",), "expected KIND/NAME")],
)
def test_a_wrong_call_says_what_is_expected(
    run: Program, words: tuple[str, ...], expected: str
) -> None:
    done = run("import", *words)
    assert done.code == 2
    assert expected in done.err


def test_a_file_that_is_no_yaml_is_named(run: Program, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("kind: [")
    done = run("import", "-f", str(file))
    assert done.code == 2
    assert "old.yaml" in done.err
