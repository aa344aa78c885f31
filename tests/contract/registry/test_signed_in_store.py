"""Signed models and golden sets in a real bucket, and what the pages show first, read from one."""

import json
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.reasons import Reason
from slipway.api.request import (
    AccessRequest,
    CheckRequest,
    GoldenRequest,
    PackageMode,
    SourceRequest,
    VerifyRequest,
)
from slipway.errors import JobFailure
from slipway.jobs.check.main import CheckMounts, _fetch_golden_set
from slipway.jobs.sources.signed_tree import SignedTree
from slipway.reconcile.render_inputs import build_package_request
from slipway.settings import Settings, SourceSettings, StoreSettings

from tests.contract.registry import stores
from tests.contract.registry.bench import Bench, Shelf, a_model
from tests.contract.registry.stores import Store
from tests.pages import ROOT, blocks, model_deployment_of
from tests.signer import Signer, make_signer

pytestmark = pytest.mark.stores

MODEL = {"1/model.onnx": a_model(5), "config.pbtxt": b"max_batch_size: 8\n"}
CASE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [2.0]}],
}
GOLDEN = {
    "golden.yaml": b"outputs: {y: {compare: Equal}}",
    "cases/1.json": json.dumps(CASE).encode(),
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores.running_versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server.store()


@pytest.fixture
def bench(shelf: Shelf, tmp_path: Path, s3: Store) -> Bench:
    bench = Bench("registry.invalid", shelf, tmp_path)
    stores.mount_secret(bench.places.source_secret, s3.secret)
    return bench


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "keys")


def put_signed(store: Store, signer: Signer, files: dict[str, bytes], prefix: str) -> None:
    """Sign files as their owner does, and upload them with the bundle."""
    folder = signer.folder.parent / prefix.strip("/")
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    signer.sign(folder, folder / "model.sig")
    store.put({**files, "model.sig": (folder / "model.sig").read_bytes()}, prefix)


def flip_a_bit(store: Store, key: str) -> None:
    data = bytearray(bytes(obstore.get(store.writer, key).bytes()))
    data[len(data) // 2] ^= 1
    obstore.put(store.writer, key, bytes(data))


def source(store: Store, path: str, signer: Signer) -> SourceRequest:
    verify = VerifyRequest(public_key=signer.public, key="release", bundle="model.sig")
    access = AccessRequest(secret="key", endpoint=store.address, region=stores.REGION)  # noqa: S106 - a name
    return SourceRequest(uri=store.uri(path), allow_plain_http=True, access=access, verify=verify)


def test_a_signed_model_in_a_bucket_says_who_signed_it(
    bench: Bench, s3: Store, signer: Signer
) -> None:
    put_signed(s3, signer, MODEL, "signed/")

    result = bench.package("x", source=source(s3, "signed/", signer), mode=PackageMode.FETCH)

    assert result.error is None
    assert result.signed is not None
    assert [file.name for file in result.signed.files] == sorted(MODEL)


@pytest.mark.parametrize("name", [*MODEL, "model.sig"])
def test_one_bit_that_changed_in_the_bucket_is_refused_and_named(
    bench: Bench, s3: Store, signer: Signer, name: str
) -> None:
    put_signed(s3, signer, MODEL, "changed/")
    flip_a_bit(s3, f"changed/{name}")

    result = bench.package("x", source=source(s3, "changed/", signer), mode=PackageMode.FETCH)

    assert result.error is not None
    assert result.error.reason == Reason.SIGNATURE_INVALID
    assert name in result.error.message


@pytest.mark.parametrize("changed", [None, *GOLDEN])
def test_a_signed_golden_set_in_a_bucket_is_verified_too(
    bench: Bench, s3: Store, signer: Signer, changed: str | None
) -> None:
    put_signed(s3, signer, GOLDEN, "golden/")
    if changed is not None:
        flip_a_bit(s3, f"golden/{changed}")
    golden = GoldenRequest(source=source(s3, "golden/", signer))
    request = CheckRequest(http="-", model_name="m", golden=golden)
    scratch = bench.folder / "scratch"
    scratch.mkdir()
    mounts = CheckMounts(scratch, secret=bench.places.source_secret)
    signed: list[SignedTree] = []

    if changed is None:
        found = _fetch_golden_set(request, mounts, signed)
        assert found is not None
        assert signed[0].report.count == len(GOLDEN)
        return
    with pytest.raises(JobFailure, match=changed) as refused:
        _fetch_golden_set(request, mounts, signed)
    assert refused.value.reason == Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_what_a_page_shows_first_is_read_from_a_bucket(bench: Bench, s3: Store, page: str) -> None:
    shown = next(
        found
        for block in blocks("yaml")
        if block.page == ROOT / page and (found := model_deployment_of(block))
    )
    metadata = {**shown["metadata"], "uid": "1", "resourceVersion": "1", "generation": 1}
    md = ModelDeployment.model_validate({**shown, "metadata": metadata})
    s3.put(MODEL, md.spec.model.source.uri.removeprefix("s3://models/"))
    store = StoreSettings(
        name="models", prefixes=["s3://models/"], endpoint=s3.address, region=stores.REGION
    )
    settings = Settings(operator_image="slipway:1", sources=SourceSettings(stores=[store]))

    request = build_package_request(md, settings)
    result = bench.package("x", source=request.source, mode=PackageMode.FETCH)

    assert md.spec.model.source.credentials_secret_ref is not None
    assert (result.error, result.format) == (None, "ONNX")
