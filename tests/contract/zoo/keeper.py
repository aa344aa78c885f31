"""Packages a model from six lines, invents inputs for it, and asks a server."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import yaml
from onnx import helper
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.request import PackageMode
from slipway.api.result import PackageResult
from slipway.jobs.package.main import PackageMounts, run_package_job
from slipway.reconcile.render_inputs import build_package_request
from slipway.settings import Settings
from tritonclient.utils import np_to_triton_dtype

from tests.contract.zoo.animals import Animal

SIX_LINES = """\
apiVersion: slipway.dev/v1beta1
kind: ModelDeployment
metadata: {{name: {name}, namespace: zoo}}
spec:
  model: {{version: "1", source: {{uri: "pvc://zoo/{file}"}}}}
  packaging: {{mode: Fetch}}
"""

Arrays = dict[str, npt.NDArray[Any]]


def package(name: str, file: str, zoo: Path, repository: Path, scratch: Path) -> PackageResult:
    """Write the model's part of the repository as the init container of its pods does."""
    manifest = yaml.safe_load(SIX_LINES.format(name=name, file=file))
    manifest["metadata"]["uid"] = name
    written = build_package_request(ModelDeployment.model_validate(manifest), Settings())
    assert written.mode is PackageMode.FETCH
    request = written.model_copy(update={"deliver_to": str(repository)})

    log = scratch / f"{name}.log"
    mounts = PackageMounts(source=zoo, scratch=scratch / name)
    run_package_job(json.dumps(request.wire()), mounts, log)
    return PackageResult.model_validate_json(log.read_text())


class Graph:
    """The inputs and outputs of a model file."""

    def __init__(self, file: Path) -> None:
        graph = onnx.load(file, load_external_data=False).graph
        weights = {tensor.name for tensor in graph.initializer}
        self._inputs = [each for each in graph.input if each.name not in weights]
        self.outputs: list[str] = [each.name for each in graph.output]

    def invent_inputs(self, animal: Animal) -> Arrays:
        """Return inputs that are the same in every run."""
        draw = np.random.default_rng(zlib.crc32(animal.name.encode()))
        return {each.name: self._invent(each, animal, draw) for each in self._inputs}

    def _invent(
        self, given: onnx.ValueInfoProto, animal: Animal, draw: np.random.Generator
    ) -> npt.NDArray[Any]:
        tensor = given.type.tensor_type
        declared = tuple(size.dim_value for size in tensor.shape.dim)
        shape = animal.shapes.get(given.name, declared)
        assert all(size > 0 for size in shape), f"{animal.name}: what size has {given.name}?"

        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(kind, np.integer):
            return draw.integers(0, animal.below, shape).astype(kind)
        return draw.standard_normal(shape).astype(kind)


def ask(module: Any, client: Any, model: str, inputs: Arrays, outputs: list[str]) -> Arrays:
    """Ask by one of Triton's clients, with bytes both ways; `module` is the client's."""
    tensors = []
    for name, array in inputs.items():
        tensor = module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)

    wanted = [module.InferRequestedOutput(name) for name in outputs]
    result = client.infer(model, tensors, outputs=wanted)
    return {name: result.as_numpy(name) for name in outputs}
