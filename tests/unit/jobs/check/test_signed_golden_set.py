"""A golden set that must be signed: what decides about a model is not to be changed by anybody."""

import json
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.api.request import CheckRequest, GoldenRequest, SourceRequest, VerifyRequest
from slipway.errors import JobFailure
from slipway.jobs.check.main import CheckMounts, _fetch_golden_set
from slipway.jobs.sources.signed_tree import SignedTree

from tests.signer import Signer, make_signer

CASE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [2.0]}],
}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_signer(tmp_path / "keys")


@pytest.fixture
def golden(tmp_path: Path, signer: Signer) -> Path:
    folder = tmp_path / "claim/golden"
    (folder / "cases").mkdir(parents=True)
    (folder / "golden.yaml").write_text("outputs: {y: {compare: Equal}}")
    (folder / "cases/1.json").write_text(json.dumps(CASE))
    signer.sign(folder, folder / "model.sig")
    return folder


def fetch(tmp_path: Path, signer: Signer) -> SignedTree:
    verify = VerifyRequest(public_key=signer.public, key="release", bundle="model.sig")
    source = SourceRequest(uri="pvc://claim/golden", verify=verify)
    request = CheckRequest(http="-", model_name="m", golden=GoldenRequest(source=source))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    signed: list[SignedTree] = []
    found = _fetch_golden_set(request, CheckMounts(scratch, tmp_path / "claim"), signed)
    assert found is not None
    return signed[0]


@pytest.mark.usefixtures("golden")
def test_a_signed_golden_set_is_asked_and_its_signer_known(tmp_path: Path, signer: Signer) -> None:
    signed = fetch(tmp_path, signer)

    assert signed.tree.names == ("cases/1.json", "golden.yaml")
    assert signed.report.count == 2


@pytest.mark.parametrize("name", ["cases/1.json", "golden.yaml"])
def test_one_changed_byte_is_refused_and_the_file_is_named(
    tmp_path: Path, golden: Path, signer: Signer, name: str
) -> None:
    (golden / name).write_text((golden / name).read_text() + " ")

    with pytest.raises(JobFailure, match=name) as refused:
        fetch(tmp_path, signer)

    assert refused.value.reason == Reason.SIGNATURE_INVALID
