import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from slipway.answers.tensors import read_json
from slipway.api.golden import Compare, GoldenCase, GoldenFile
from slipway.api.result import Signature, TensorSpec
from slipway.jobs.check.golden_set import (
    GoldenSetInvalid,
    LoadedGoldenSet,
    fit_case,
    load_golden_set,
)
from slipway.jobs.file_tree import make_tree, walk_files

PAGE = Path(__file__).parents[4] / "docs/golden-sets.md"

RULES: dict[str, Any] = {"label": {"compare": "Equal"}}
CASE: dict[str, Any] = {
    "id": "seven",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[0.5, 1]]}],
    "outputs": [
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["7"]},
        {"name": "unused", "datatype": "INT8", "shape": [1], "data": [1]},
    ],
}

Load = Callable[..., LoadedGoldenSet]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a golden set and read it: rules, one case, arrays by name."""

    def write_and_load(
        *, rules: Any = RULES, case: Any = None, arrays: dict[str, Any] | None = None
    ) -> LoadedGoldenSet:
        (tmp_path / "golden.yaml").write_text(yaml.safe_dump({"outputs": rules}))
        if case is not None:
            (tmp_path / "cases").mkdir()
            (tmp_path / "cases/0001.json").write_text(json.dumps(case))
        if arrays is not None:
            np.savez(tmp_path / "cases.npz", **arrays)
        return load_golden_set(make_tree(walk_files(tmp_path)))

    return write_and_load


def array_file() -> bytes:
    """Return a single array in numpy's own format."""
    file = BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return CASE with the field at `path` set, as in ``outputs.0.data``."""
    case: Any = json.loads(json.dumps(CASE))
    *steps, last = path.split(".")
    place = case
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return dict(case)


def test_a_json_case_keeps_its_shapes_and_only_outputs_with_a_rule(load: Load) -> None:
    [case] = load(case=CASE).cases

    assert case.name == "seven"
    assert case.inputs["x"].array.tolist() == [[0.5, 1.0]]
    assert case.inputs["x"].array.dtype == np.float32
    assert case.outputs.keys() == {"label"}
    assert case.outputs["label"].array.tolist() == [b"7"]


def test_a_case_without_an_id_is_called_by_its_file(load: Load) -> None:
    [case] = load(case=changed("id", None)).cases
    assert case.name == "0001"


def test_arrays_hold_a_case_per_row(load: Load) -> None:
    golden = load(
        arrays={
            "input.x": np.array([[1, 2], [3, 4]], np.float32),
            "output.label": np.array(["a", "bc"]),
        }
    )

    assert [case.name for case in golden.cases] == ["0", "1"]
    assert golden.cases[1].inputs["x"].array.tolist() == [3.0, 4.0]
    assert golden.cases[1].outputs["label"].array.item() == b"bc"


def test_rows_get_the_batch_dimension_and_half_precision_of_the_model(load: Load) -> None:
    golden = load(arrays={"input.x": np.ones((1, 2), np.float32), "output.label": np.array([[3]])})
    signature = Signature(
        inputs=[TensorSpec(name="x", datatype="BF16", dims=[-1, 2])],
        outputs=[TensorSpec(name="label", datatype="INT64", dims=[-1, 1])],
    )
    case = fit_case(golden.cases[0], signature)

    assert (case.inputs["x"].datatype, case.inputs["x"].shape) == ("BF16", (1, 2))
    assert case.inputs["x"].array.dtype.name == "bfloat16"
    assert case.outputs["label"].shape == (1, 1)


def test_json_cases_are_sent_as_they_are(load: Load) -> None:
    [case] = load(case=CASE).cases
    signature = Signature(inputs=[TensorSpec(name="x", datatype="FP32", dims=[-1, 1, 2])])

    assert fit_case(case, signature) is case


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({}, "outputs: Dictionary should have at least 1 item"),
        ({"label": {"compare": "Close"}}, "outputs.label: Input tag 'Close'"),
        ({"label": {"compare": "Tolerance", "rtoll": 1}}, "outputs.label.Tolerance.rtoll: Extra"),
        ({"label": {"compare": "Tolerance", "rtol": -1}}, "outputs.label.Tolerance.rtol: Input"),
    ],
)
def test_a_wrong_rule_is_named(load: Load, rules: Any, problem: str) -> None:
    with pytest.raises(GoldenSetInvalid, match=r"golden set, golden\.yaml: ") as error:
        load(rules=rules, case=CASE)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("inputs", [], "inputs: List should have at least 1 item"),
        ("inputs.0.datatype", "FLOAT", "inputs: 'x': found datatype 'FLOAT'"),
        ("inputs.0.shape", [3], "inputs: 'x': data has 2 elements, expected 3 for shape [3]"),
        ("inputs.0.data", ["a", "b"], "inputs: 'x': data contains 'a', expected FP32"),
        ("inputs.0.data", [True, 1.0], "inputs: 'x': data contains True, expected FP32"),
        (
            "outputs.1.data",
            [300],
            "outputs: 'unused': data contains 300, which is outside the range of INT8",
        ),
        ("outputs.0.name", "other", "outputs: expected 'label' of golden.yaml, found 'other'"),
        ("input", [], "input: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_field_of_a_case_is_named(load: Load, path: str, value: Any, problem: str) -> None:
    with pytest.raises(GoldenSetInvalid) as error:
        load(case=changed(path, value))
    assert f"golden set, cases/0001.json: {problem}" in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (
            {"input.x": [1, 2], "output.label": ["a"]},
            "expected the same number of cases in all arrays, found 'input.x' 2, 'output.label' 1",
        ),
        ({"input.x": [], "output.label": []}, "expected the same number of cases"),
        ({"output.label": ["a"]}, "expected an array 'input.<name>', found none"),
        ({"x": [1], "output.label": ["a"]}, "array 'x': expected input.<name> or output.<name>"),
        ({"input.x": [1]}, "outputs: expected 'label' of golden.yaml, found none"),
        ({"input.x": [1j], "output.label": ["a"]}, "array 'input.x': found type complex128"),
        (
            {"input.x": np.array([{}], object), "output.label": ["a"]},
            "expected an npz file of plain arrays",
        ),
    ],
)
def test_wrong_arrays_are_named(load: Load, arrays: dict[str, Any], problem: str) -> None:
    with pytest.raises(GoldenSetInvalid) as error:
        load(arrays=arrays)
    assert f"golden set, cases.npz: {problem}" in str(error.value)


@pytest.mark.parametrize(
    ("compare", "output", "problem"),
    [
        ("ArgMax", ["a"], "'label' is BYTES; ArgMax needs numbers, use Equal"),
        ("Tolerance", [True], "'label' is BOOL; Tolerance needs numbers, use Equal"),
        ("ArgMax", [1.0], "'label' has shape []; ArgMax needs a last axis"),
        ("Tolerance", [float("nan")], "'label' contains NaN"),
    ],
)
def test_a_rule_that_cannot_judge_its_output_is_refused(
    load: Load, compare: str, output: list[Any], problem: str
) -> None:
    with pytest.raises(GoldenSetInvalid) as error:
        load(rules={"label": {"compare": compare}}, arrays={"input.x": [1], "output.label": output})
    assert problem in str(error.value)


def test_cases_in_both_forms_are_refused(load: Load) -> None:
    with pytest.raises(GoldenSetInvalid, match="found both"):
        load(case=CASE, arrays={"input.x": [1], "output.label": ["a"]})


def test_a_set_without_cases_is_refused(load: Load) -> None:
    with pytest.raises(GoldenSetInvalid, match="found neither"):
        load()


def test_a_set_without_golden_yaml_says_what_was_found_instead(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(GoldenSetInvalid, match=r"the file is missing; found model\.onnx"):
        load_golden_set(make_tree(walk_files(tmp_path)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"text", array_file()])
def test_a_file_that_is_no_npz_is_no_crash(load: Load, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cases.npz").write_bytes(content)
    with pytest.raises(GoldenSetInvalid, match=r"golden set, cases\.npz"):
        load()


def test_the_documentation_shows_files_that_can_be_read() -> None:
    block = r"(?ms)^### (\S+)\n.*?^```\w+\n(.*?)^```"
    blocks = dict(re.findall(block, PAGE.read_text()))
    rules = GoldenFile.model_validate(yaml.safe_load(blocks["golden.yaml"])).outputs
    case = GoldenCase.model_validate_json(blocks["cases/*.json"])

    assert {rule.compare for rule in rules.values()} == set(Compare)
    assert read_json(case.outputs[0]).array.tolist() == [[b"7"]]


# ── Pasted answers, and files that only a Mac sees ──


def test_a_case_may_be_pasted_as_triton_printed_it(load: Load) -> None:
    sequence = {"sequence_id": 0, "sequence_start": False, "sequence_end": False}
    pasted = CASE | {"model_name": "digits", "model_version": "1", "parameters": sequence}
    pasted["outputs"] = [dict(CASE["outputs"][0], parameters={"binary_data_size": 5})]

    assert [case.name for case in load(case=pasted).cases] == ["seven"]


def test_the_other_unknown_fields_of_a_case_stay_errors(load: Load) -> None:
    with pytest.raises(GoldenSetInvalid, match="modelName"):
        load(case=CASE | {"modelName": "digits"})


def test_the_files_that_macos_adds_are_no_cases(load: Load, tmp_path: Path) -> None:
    load(case=CASE)
    (tmp_path / "cases/._0001.json").write_bytes(b"\0\5\26\7Mac OS X")
    (tmp_path / "._golden.yaml").write_bytes(b"\0\5\26\7Mac OS X")

    golden = load_golden_set(make_tree(walk_files(tmp_path)))

    assert [case.name for case in golden.cases] == ["seven"]
