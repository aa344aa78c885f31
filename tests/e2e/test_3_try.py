"""A newcomer's own model: `make try` twice, without a bucket and without a golden set."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.kubectl import CLONE, Kubectl
from tests.patience import patient

pytestmark = pytest.mark.e2e

NAMESPACE = "slipway-e2e-try"
NAME = "mine"
OPSET, IR_VERSION = 17, 8
"""Old enough for every ONNX Runtime that Triton came with since 24.10."""
WIDTH = 4
LONGEST_SECONDS = patient(120.0)
Try = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run_try(kubectl: Kubectl) -> Iterator[Try]:
    """Try a file as people do, in a namespace that is not theirs."""
    kubectl.delete_namespace(NAMESPACE)

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        words = (str(path), "--reuse", "--namespace", NAMESPACE, "--name", NAME)
        return subprocess.run(
            [sys.executable, "-m", "tests.try_model", *words],
            cwd=CLONE,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )

    yield run
    kubectl.delete_namespace(NAMESPACE, wait_seconds=0)


def write_model(path: Path, operator: str, width: int) -> Path:
    """Write a model of one node, from N by 4 numbers to N by `width`."""
    given, made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
        for name, size in (("image", WIDTH), ("scores", width))
    )
    axes = {"axes": [1]} if width == 1 else {}
    node = helper.make_node(operator, ["image"], ["scores"], **axes)
    graph = helper.make_graph([node], "scores", [given], [made])
    opsets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
    return path


def test_a_model_of_ones_own_is_served_and_one_with_other_outputs_is_rejected(
    run_try: Try, kubectl: Kubectl, tmp_path: Path
) -> None:
    served = run_try(write_model(tmp_path / "first.onnx", "Relu", WIDTH))
    assert served.returncode == 0, served.stdout + served.stderr
    assert "version 1 was promoted: it has all of the traffic" in served.stdout
    assert "image FP32 [1, 4]" in served.stdout
    assert " 0 failed, 0 of them lost" in served.stdout

    rejected = run_try(write_model(tmp_path / "second.onnx", "ReduceMean", 1))
    assert rejected.returncode == 1, rejected.stdout + rejected.stderr
    line = next(line for line in rejected.stdout.splitlines() if "was not promoted" in line)
    assert line.startswith("version 2 was not promoted (RejectedBySignature): SignatureChanged: ")
    assert "output 'scores'" in line
    assert line.endswith("version 1 goes on serving")
    assert " 0 failed, 0 of them lost" in rejected.stdout

    # What the client sent has ended with it, and the files of both versions are there still.
    pods = kubectl.run("get", "pods", "-n", NAMESPACE, "-o", "name")
    assert "pod/try-client" not in pods
    kept = kubectl.run("exec", "try-files", "-n", NAMESPACE, "--", "ls", f"/srv/models/{NAME}")
    assert kept.split() == ["1", "2"]
