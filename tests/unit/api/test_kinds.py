from slipway.api.kinds import DEPLOYMENT, POD


def test_a_manifest_names_its_kind_and_its_place() -> None:
    assert DEPLOYMENT.manifest("vision", "digits", spec={"replicas": 1}) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "digits", "namespace": "vision"},
        "spec": {"replicas": 1},
    }


def test_other_metadata_stands_beside_name_and_namespace() -> None:
    labels = {"slipway.dev/component": "router"}

    manifest = POD.manifest("vision", "digits", metadata={"labels": labels})

    assert manifest["metadata"] == {"name": "digits", "namespace": "vision", "labels": labels}


def test_the_core_group_has_no_name() -> None:
    assert POD.type_meta == {"apiVersion": "v1", "kind": "Pod"}


def test_without_a_namespace_the_path_of_the_request_decides() -> None:
    assert POD.manifest(None, "digits")["metadata"] == {"name": "digits"}
