import hashlib
import json
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cluster.errors import ClusterError
from tests.install.helm import CHART
from tests.release import chart, plugin, provenance, sbom
from tests.release.krew import krew_manifest
from tests.unit.release.release_of_crumbs import CONFIG_TYPE, LAYER_TYPE, write_layer, write_layout

DIGESTS = {name: f"sha256:{name[0] * 64}" for name in ("operator", "envoy", "optimizer")}
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def chart_values(directory: Path, registry: str) -> dict[str, dict[str, str]]:
    packed = directory / "slipway.tgz"
    chart.package(packed, DIGESTS, registry)
    with tarfile.open(packed) as archive:
        values = archive.extractfile("slipway/values.yaml")
        assert values is not None
        loaded: dict[str, dict[str, str]] = yaml.safe_load(values)
    return loaded


def test_a_published_chart_brings_the_edge_profile(tmp_path: Path) -> None:
    chart.package(tmp_path / "slipway.tgz", DIGESTS, "")
    with tarfile.open(tmp_path / "slipway.tgz") as archive:
        assert "slipway/values-edge.yaml" in archive.getnames()


def test_a_published_chart_names_its_images_by_digest(tmp_path: Path) -> None:
    values = chart_values(tmp_path, "registry.example.com")
    assert values["image"]["repository"] == "registry.example.com/slipway/operator"
    assert values["image"]["digest"] == DIGESTS["operator"]
    assert (
        values["router"]["envoyImage"] == f"registry.example.com/slipway/envoy@{DIGESTS['envoy']}"
    )
    assert values["optimizer"]["image"].endswith(f"/optimizer@{DIGESTS['optimizer']}")


def test_a_chart_for_any_registry_names_only_what_is_known(tmp_path: Path) -> None:
    values = chart_values(tmp_path, "")
    assert values["image"]["repository"] == values["router"]["envoyImage"] == ""
    assert values["image"]["digest"] == DIGESTS["operator"]


def test_the_same_chart_is_the_same_archive(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tgz", tmp_path / "b.tgz"]
    for path in paths:
        chart.package(path, DIGESTS, "")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_chart_whose_values_have_changed_is_not_filled_in_by_half() -> None:
    values = (CHART / "values.yaml").read_text().replace('envoyImage: ""', "envoyImage:")
    with pytest.raises(ValueError, match="envoyImage"):
        chart.fill_in(values, DIGESTS, "registry.example.com")


def test_the_parts_of_an_image_are_those_of_its_layers(tmp_path: Path) -> None:
    layout = write_layout(tmp_path, ())
    metadata = "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.3\n"
    files = {
        "var/lib/dpkg/status": STATUS,
        "opt/slipway/lib/PyYAML-6.0.3.dist-info/METADATA": metadata,
    }
    layer = write_layer(tmp_path / "layer", files)
    digest = layout.add(b"{}", CONFIG_TYPE, layer, LAYER_TYPE, "slipway/operator:0.1.0")

    text = sbom.describe(layout, "operator", "0.1.0", digest, datetime(2026, 1, 1, tzinfo=UTC))
    again = sbom.describe(layout, "operator", "0.1.0", digest, datetime(2026, 1, 1, tzinfo=UTC))

    described = json.loads(text)
    assert sorted(part["purl"] for part in described["components"]) == [
        "pkg:deb/debian/libc6@2.36-9?arch=amd64",
        "pkg:pypi/pyyaml@6.0.3",
    ]
    assert described["metadata"]["component"]["bom-ref"] == digest
    assert text == again


def test_the_plugin_has_the_libraries_of_the_lock_file_with_their_hashes() -> None:
    entries = list(plugin.locked(("click", "pydantic-core")))
    assert [entry.partition("==")[0] for entry in entries] == ["click", "pydantic-core"]
    assert all("--hash=sha256:" in entry for entry in entries)
    with pytest.raises(ClusterError, match=r"requirements-dev\.lock lacks no-such-library"):
        list(plugin.locked(("no-such-library",)))


def test_krew_finds_each_platform_by_address_and_digest(tmp_path: Path) -> None:
    program = tmp_path / "kubectl-slipway-darwin-arm64"
    program.write_bytes(b"program")
    manifest = yaml.safe_load(krew_manifest({"darwin-arm64": program}, "https://files.example.com"))
    (platform,) = manifest["spec"]["platforms"]
    assert platform["selector"] == {"matchLabels": {"os": "darwin", "arch": "arm64"}}
    assert platform["uri"] == f"https://files.example.com/{program.name}"
    assert platform["sha256"] == hashlib.sha256(b"program").hexdigest()


def test_sums_are_signed_so_that_openssl_verifies_them(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    keys = tmp_path / "keys"
    keys.mkdir()
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    (keys / "key").write_bytes(private)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (keys / "key.pub").write_bytes(public)
    release = tmp_path / "release"
    release.mkdir()
    (release / "slipway-0.1.0.tgz").write_bytes(b"chart")

    provenance.write_sums(release, keys / "key")

    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=release, check=False).returncode == 0
    verify = ["openssl", "dgst", "-sha256", "-verify", str(keys / "key.pub")]
    signature = ["-signature", "SHA256SUMS.sig", "SHA256SUMS"]
    assert subprocess.run([*verify, *signature], cwd=release, check=False).returncode == 0
    (release / "SHA256SUMS").write_text("changed\n")
    assert subprocess.run([*verify, *signature], cwd=release, check=False).returncode == 1
