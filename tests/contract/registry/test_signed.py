"""Signed models: signed by model-signing itself with a key of this test, changed by one byte."""

import json
from pathlib import Path
from typing import Any

import pytest
from model_signing import hashing
from slipway.api.reasons import Reason
from slipway.api.request import PackageMode, SourceRequest, VerifyRequest
from slipway.api.result import EXIT_PERMANENT, PackageResult
from slipway.jobs.registry.media_types import OCI_MANIFEST
from slipway.jobs.registry.repository import Repository
from slipway.jobs.sources.signed_tree import SIGNED_FILES, SIGNER

from tests.contract.registry.bench import Bench, a_model, client, push_base
from tests.contract.registry.test_image import tag_of
from tests.signer import Signer, make_signer

MODEL = {"1/model.onnx": a_model(5), "config.pbtxt": b"max_batch_size: 8\n", "labels.txt": b"a\nb"}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "keys")


@pytest.fixture
def model(bench: Bench, signer: Signer) -> Path:
    """A signed model in a claim."""
    folder = bench.places.source / "digits"
    for name, data in MODEL.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    signer.sign(folder, folder / "model.sig")
    return folder


def package(bench: Bench, verify: VerifyRequest, **changes: Any) -> PackageResult:
    source = SourceRequest(uri="pvc://claim/digits", verify=verify)
    return bench.package("pvc://claim/digits", **{"source": source, **changes})


def by_key(signer: Signer, bundle: str = "model.sig") -> VerifyRequest:
    return VerifyRequest(public_key=signer.public, key="release", bundle=bundle)


def problem_of(bench: Bench, result: PackageResult) -> str:
    assert result.error is not None
    assert bench.exit_code == EXIT_PERMANENT
    assert result.error.reason == Reason.SIGNATURE_INVALID
    assert result.image is None
    return result.error.message


def test_the_image_of_a_signed_model_says_who_signed_which_files(
    bench: Bench, model: Path, signer: Signer
) -> None:
    hint = json.loads((model / "model.sig").read_text())["verificationMaterial"]["publicKey"]

    result = package(bench, by_key(signer))

    assert result.error is None
    assert result.signed is not None
    assert result.signed.signer == f"sha256:{hint['hint']}"
    assert result.signed.count == len(MODEL)
    assert [file.name for file in result.signed.files] == sorted(MODEL)
    image = bench.pull(result.image or "")
    assert image.manifest["annotations"][SIGNER] == result.signed.signer
    assert json.loads(image.manifest["annotations"][SIGNED_FILES]).keys() == MODEL.keys()
    assert "models/digits/model.sig" not in [*image.names(1), *image.names(2)]


@pytest.mark.parametrize("name", MODEL)
def test_one_changed_byte_of_a_file_is_refused_and_the_file_is_named(
    bench: Bench, model: Path, signer: Signer, name: str
) -> None:
    data = bytearray((model / name).read_bytes())
    data[0] ^= 1
    (model / name).write_bytes(data)

    assert name in problem_of(bench, package(bench, by_key(signer)))


def test_a_file_that_nobody_signed_is_refused_and_named(
    bench: Bench, model: Path, signer: Signer
) -> None:
    (model / "1/model.py").write_text("import os")

    assert "1/model.py" in problem_of(bench, package(bench, by_key(signer)))


def test_a_signed_file_that_is_missing_is_named(bench: Bench, model: Path, signer: Signer) -> None:
    (model / "labels.txt").unlink()

    assert "labels.txt" in problem_of(bench, package(bench, by_key(signer)))


def test_no_byte_of_the_bundle_that_says_anything_can_be_changed(
    bench: Bench, model: Path, signer: Signer
) -> None:
    bundle = json.loads((model / "model.sig").read_text())
    envelope = bundle["dsseEnvelope"]
    signature = envelope["signatures"][0]
    for part, field in ((envelope, "payload"), (signature, "sig"), (envelope, "payloadType")):
        before = part[field]
        part[field] = before[:40] + ("A" if before[40:41] != "A" else "B") + before[41:]
        (model / "model.sig").write_text(json.dumps(bundle))
        part[field] = before

        message = problem_of(bench, package(bench, by_key(signer), mode=PackageMode.FETCH))

        assert "signature model.sig by key release of the operator's settings" in message


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"dsseEnvelope": 1}', "\xff"])
def test_what_is_no_bundle_is_refused(bench: Bench, model: Path, signer: Signer, text: str) -> None:
    (model / "model.sig").write_text(text, encoding="latin-1")

    assert "signature model.sig" in problem_of(bench, package(bench, by_key(signer)))


@pytest.mark.usefixtures("model")
def test_another_key_is_refused(bench: Bench, tmp_path: Path) -> None:
    other = make_signer(tmp_path / "other")

    assert "Key mismatch" in problem_of(bench, package(bench, by_key(other)))


def test_a_model_without_a_signature_is_refused(bench: Bench, model: Path, signer: Signer) -> None:
    (model / "model.sig").unlink()

    message = problem_of(bench, package(bench, by_key(signer)))

    assert "found no signature 'model.sig' among 3 files" in message


@pytest.mark.usefixtures("model")
def test_a_mounted_key_is_found_and_a_missing_one_is_named(bench: Bench, signer: Signer) -> None:
    verify = VerifyRequest(secret="team", key="cosign.pub", bundle="model.sig")  # noqa: S106 - a name
    missing = package(bench, verify)
    bench.places.source_key.mkdir()
    (bench.places.source_key / "key.pem").write_text("no key")
    unusable = package(bench, verify)
    (bench.places.source_key / "key.pem").write_text(signer.public)
    found = package(bench, verify)

    for result in (missing, unusable):
        assert result.error is not None
        assert result.error.reason == Reason.SOURCE_REFUSED
        assert "key cosign.pub of Secret team" in result.error.message
    assert found.signed is not None
    assert found.signed.key == "key cosign.pub of Secret team"


def test_a_bundle_may_lie_elsewhere_and_sign_one_file(
    bench: Bench, signer: Signer, tmp_path: Path
) -> None:
    (tmp_path / "digits.onnx").write_bytes(a_model(6))
    signer.sign(tmp_path / "digits.onnx", tmp_path / "digits.sig")
    bench.shelf.files["/digits.onnx"] = a_model(6)
    bench.shelf.files["/digits.sig"] = (tmp_path / "digits.sig").read_bytes()
    verify = by_key(signer, bench.shelf.url("/digits.sig"))
    uri = bench.shelf.url("/digits.onnx")
    source = SourceRequest(uri=uri, allow_plain_http=True, verify=verify)

    result = bench.package("/digits.onnx", source=source)
    bench.shelf.files["/digits.onnx"] = a_model(7)
    changed = bench.package("/digits.onnx", source=source)

    assert result.signed is not None
    assert [file.name for file in result.signed.files] == ["digits.onnx"]
    problem_of(bench, changed)


def test_a_signature_in_shards_is_refused_with_what_to_do(
    bench: Bench, model: Path, signer: Signer
) -> None:
    how = hashing.Config()  # type: ignore[no-untyped-call]
    how.use_shard_serialization().set_ignored_paths(paths=[model / "model.sig"])
    (model / "model.sig").unlink()
    signer.sign(model, model / "model.sig", how)

    message = problem_of(bench, package(bench, by_key(signer)))

    assert "found shards hashed with sha256, expected files hashed with sha256" in message


def test_what_the_signature_sets_aside_is_not_served(
    bench: Bench, model: Path, signer: Signer
) -> None:
    (model / ".git").mkdir()
    (model / ".git/config").write_text("anything")

    result = package(bench, by_key(signer))

    assert result.error is None
    image = bench.pull(result.image or "")
    assert not [name for name in [*image.names(1), *image.names(2)] if ".git" in name]


@pytest.mark.usefixtures("model")
def test_an_image_that_somebody_put_under_our_tag_is_not_taken_for_a_signed_model(
    bench: Bench, signer: Signer
) -> None:
    repository = f"{bench.registry}/models/signed"
    first = package(bench, by_key(signer), repository=repository)
    target = Repository(client(bench.registry), "models/signed")
    image = bench.pull(first.image or "")
    # Without the weights, but with every annotation by which an image is found again.
    forged = {**image.manifest, "layers": image.manifest["layers"][:1]}
    target.put_manifest(tag_of(bench, "models/signed"), json.dumps(forged).encode(), OCI_MANIFEST)

    again = package(bench, by_key(signer), repository=repository)

    assert again.image == first.image


def test_an_init_container_delivers_signed_files_only(
    bench: Bench, model: Path, signer: Signer, tmp_path: Path
) -> None:
    target = tmp_path / "repository"
    target.mkdir()
    how = {"mode": PackageMode.FETCH, "deliver_to": str(target)}

    good = package(bench, by_key(signer), **how)
    delivered = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    (model / "1/model.onnx").write_bytes(b"\x08" + MODEL["1/model.onnx"])
    bad = package(bench, by_key(signer), **how)

    assert good.error is None
    assert "digits/1/model.onnx" in delivered
    assert not [name for name in delivered if name.endswith(".sig")]
    problem_of(bench, bad)


@pytest.fixture(autouse=True)
def _base(bench: Bench) -> None:
    push_base(bench.registry, "base/triton")
