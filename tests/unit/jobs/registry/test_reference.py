import pytest
from slipway.errors import RegistryRefused
from slipway.jobs.registry.reference import ImageReference, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("ubuntu", ImageReference("docker.io", "library/ubuntu")),
        ("team/app:1", ImageReference("docker.io", "team/app", "1")),
        ("localhost/app", ImageReference("localhost", "app")),
        ("10.0.0.1:5000/a/b:1", ImageReference("10.0.0.1:5000", "a/b", "1")),
        ("host.example:5000/app", ImageReference("host.example:5000", "app")),
        ("[fd00::1]:5000/a/b:1", ImageReference("[fd00::1]:5000", "a/b", "1")),
        ("[fd00::1]/app", ImageReference("[fd00::1]", "app")),
        (f"host.example/app@{DIGEST}", ImageReference("host.example", "app", None, DIGEST)),
        (f"host.example/app:1@{DIGEST}", ImageReference("host.example", "app", "1", DIGEST)),
    ],
)
def test_names_are_read_as_container_runtimes_read_them(text: str, want: ImageReference) -> None:
    assert parse_reference(text) == want


def test_a_digest_counts_more_than_a_tag_and_none_means_latest() -> None:
    assert parse_reference(f"h.example/a:1@{DIGEST}").version == DIGEST

    assert parse_reference("h.example/a:1").version == "1"
    assert parse_reference("h.example/a").version == "latest"


@pytest.mark.parametrize("text", ["", "host.example/", "Host/UPPER", "a b", "host.example/a b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(RegistryRefused, match="expected"):
        parse_reference(text)
