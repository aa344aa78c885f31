import pytest
from slipway.render.fetch import render_claim_volumes


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
