import pytest
from slipway.api.request import SourceRequest, VerifyRequest
from slipway.render.fetch import (
    render_claim_volumes,
    render_source_mounts,
    render_source_volumes,
)


@pytest.mark.parametrize(
    ("uri", "claims"),
    [
        ("pvc://models/digits/", ["models"]),
        ("pvc://models/a?b#c", ["models"]),
        ("https://models.example/m.onnx", []),
        ("https://[YOUR-BUCKET].s3.amazonaws.com/m.onnx", []),
        ("pvc://[models]/m.onnx", ["[models]"]),
        ("", []),
    ],
)
def test_a_claim_is_a_volume_and_no_address_breaks_the_rendering(
    uri: str, claims: list[str]
) -> None:
    volumes = render_claim_volumes(uri, "source")

    assert [volume["persistentVolumeClaim"]["claimName"] for volume in volumes] == claims


def test_only_the_public_key_of_a_secret_is_mounted_and_its_absence_holds_no_pod_up() -> None:
    verify = VerifyRequest(secret="signers", key="cosign.pub", bundle="model.sig")  # noqa: S106 - a name
    source = SourceRequest(uri="s3://models/1/", verify=verify)

    [volume] = render_source_volumes(source, "source")
    [mount] = render_source_mounts(source, "source", "/source")

    assert volume["secret"] == {
        "secretName": "signers",
        "items": [{"key": "cosign.pub", "path": "key.pem"}],
        "optional": True,
    }
    assert mount == {"name": "source-key", "mountPath": "/keys/source", "readOnly": True}


def test_a_key_of_a_config_map_is_mounted_and_one_of_the_operator_is_not() -> None:
    of_map = VerifyRequest(config_map="signers", key="eu.pem", bundle="model.sig")
    of_operator = VerifyRequest(public_key="-----BEGIN", key="release", bundle="model.sig")

    [volume] = render_source_volumes(SourceRequest(uri="s3://m/1/", verify=of_map), "source")

    assert volume["configMap"]["name"] == "signers"
    assert not render_source_volumes(SourceRequest(uri="s3://m/1/", verify=of_operator), "source")
