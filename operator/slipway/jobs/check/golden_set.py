"""Golden sets, read from their files.

A golden set that cannot be read judges nothing: a `GoldenSetInvalid` names the file and the field.
"""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from slipway.answers.tensors import (
    Array,
    Tensor,
    Tensors,
    cast_bfloat16,
    has_nan,
    read_array,
    read_json,
)
from slipway.api.golden import (
    ARRAYS,
    CASES,
    FILE,
    INPUT_PREFIX,
    OUTPUT_PREFIX,
    ArgMaxRule,
    EqualRule,
    GoldenCase,
    GoldenFile,
    GoldenTensor,
    Rule,
)
from slipway.api.reasons import Reason
from slipway.api.result import Signature, TensorSpec
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, leave_out_mac_files
from slipway.jobs.placeholder import describe_lfs_pointer


class GoldenSetInvalid(JobFailure):
    """A file of the golden set is missing or wrong."""

    def __init__(self, file: str, problem: str) -> None:
        """Name the file, and the field with what was found and expected."""
        super().__init__(Reason.GOLDEN_SET_INVALID, f"golden set, {file}: {problem}")


@dataclass(frozen=True, slots=True)
class Case:
    """Recorded inputs with the expected outputs."""

    name: str
    inputs: Tensors
    outputs: Tensors
    """Expected outputs, as far as they have a rule."""
    without_batch: bool = False
    """True for a row of an npz file, which has no batch dimension."""


@dataclass(frozen=True, slots=True)
class LoadedGoldenSet:
    """All cases, and how their outputs are compared."""

    rules: Mapping[str, Rule]
    """Rules by the name of the output."""
    cases: tuple[Case, ...]


def load_golden_set(tree: Tree) -> LoadedGoldenSet:
    """Return the golden set in these files.

    Raises:
        GoldenSetInvalid: a file is missing or wrong.

    """
    tree, _ = leave_out_mac_files(tree)
    for file in tree.files:
        problem = describe_lfs_pointer(file.path)
        if problem is not None:
            raise GoldenSetInvalid(file.name, problem)

    rules = _read_rules(tree)

    files = [name for name in tree.names if _is_case_file(name)]
    if bool(files) == (ARRAYS in tree.names):
        found = "both" if files else f"neither among {len(tree.files)} files"
        raise GoldenSetInvalid(FILE, f"expected either {CASES}*.json or {ARRAYS}, found {found}")

    cases = (
        tuple(_read_case(tree[name], name, rules) for name in files)
        if files
        else tuple(_read_arrays(tree[ARRAYS], rules))
    )
    return LoadedGoldenSet(rules, cases)


def fit_case(case: Case, signature: Signature) -> Case:
    """Return the case with the shapes and types that the model's clients use.

    Rows of an npz file have no batch dimension, and npz has no type for BF16.
    """
    if not case.without_batch:
        return case
    return replace(
        case,
        inputs=_fit_tensors(case.inputs, signature.inputs),
        outputs=_fit_tensors(case.outputs, signature.outputs),
    )


def _read_rules(tree: Tree) -> Mapping[str, Rule]:
    try:
        raw = yaml.safe_load(tree[FILE].read_text())
        return GoldenFile.model_validate(raw).outputs
    except KeyError:
        some = ", ".join(tree.names[:3]) or "nothing"
        raise GoldenSetInvalid(FILE, f"the file is missing; found {some}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise GoldenSetInvalid(FILE, " ".join(str(error).split())) from error
    except ValidationError as error:
        raise GoldenSetInvalid(FILE, _describe_errors(error)) from error


def _is_case_file(name: str) -> bool:
    """Hidden files are no cases: macOS puts ``._1.json`` beside ``1.json``."""
    return name.startswith(CASES) and name.endswith(".json") and not Path(name).name.startswith(".")


def _read_case(path: Path, file: str, rules: Mapping[str, Rule]) -> Case:
    try:
        case = GoldenCase.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise GoldenSetInvalid(file, _describe_errors(error)) from error
    outputs = _read_tensors(file, "outputs", case.outputs)
    return Case(
        name=case.id or Path(file).stem,
        inputs=_read_tensors(file, "inputs", case.inputs),
        outputs=_select_compared(file, outputs, rules),
    )


def _read_tensors(file: str, field: str, tensors: list[GoldenTensor]) -> Tensors:
    read = {}
    for tensor in tensors:
        try:
            read[tensor.name] = read_json(tensor)
        except ValueError as error:
            raise GoldenSetInvalid(file, f"{field}: '{tensor.name}': {error}") from error
    return read


def _read_arrays(path: Path, rules: Mapping[str, Rule]) -> Iterator[Case]:
    arrays = _load_arrays(path)
    count = _count_cases(arrays)
    inputs, outputs = _read_columns(arrays, INPUT_PREFIX), _read_columns(arrays, OUTPUT_PREFIX)
    if not inputs:
        raise GoldenSetInvalid(ARRAYS, f"expected an array '{INPUT_PREFIX}<name>', found none")
    for index in range(count):
        expected = _select_compared(ARRAYS, _select_row(outputs, index), rules)
        yield Case(str(index), _select_row(inputs, index), expected, without_batch=True)


def _load_arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise GoldenSetInvalid(ARRAYS, f"expected an npz file of plain arrays: {error}") from error


def _count_cases(arrays: Mapping[str, Array]) -> int:
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        found = ", ".join(f"'{name}' {count}" for name, count in counts.items()) or "no array"
        raise GoldenSetInvalid(
            ARRAYS, f"expected the same number of cases in all arrays, found {found}"
        )
    return next(iter(counts.values()))


def _read_columns(arrays: Mapping[str, Array], prefix: str) -> dict[str, Tensor]:
    columns = {}
    for name, array in arrays.items():
        if not name.startswith((INPUT_PREFIX, OUTPUT_PREFIX)):
            raise GoldenSetInvalid(
                ARRAYS, f"array '{name}': expected input.<name> or output.<name>"
            )
        if name.startswith(prefix):
            try:
                columns[name.removeprefix(prefix)] = read_array(array)
            except ValueError as error:
                raise GoldenSetInvalid(ARRAYS, f"array '{name}': {error}") from error
    return columns


def _select_row(columns: Tensors, index: int) -> Tensors:
    return {
        name: Tensor(column.datatype, column.array[index, ...]) for name, column in columns.items()
    }


def _select_compared(file: str, outputs: Tensors, rules: Mapping[str, Rule]) -> Tensors:
    """Return the outputs that have a rule, after checking that the rule can judge them."""
    for name, rule in rules.items():
        if name not in outputs:
            found = ", ".join(f"'{output}'" for output in outputs) or "none"
            raise GoldenSetInvalid(file, f"outputs: expected '{name}' of {FILE}, found {found}")
        if has_nan(outputs[name]):
            raise GoldenSetInvalid(
                file, f"outputs: '{name}' contains NaN, with which no answer agrees"
            )
        _require_comparable(file, name, rule, outputs[name])

    return {name: outputs[name] for name in rules}


def _require_comparable(file: str, name: str, rule: Rule, tensor: Tensor) -> None:
    if not isinstance(rule, EqualRule) and tensor.datatype in ("BYTES", "BOOL"):
        raise GoldenSetInvalid(
            file, f"outputs: '{name}' is {tensor.datatype}; {rule.compare} needs numbers, use Equal"
        )
    if isinstance(rule, ArgMaxRule) and 0 in (tensor.array.ndim, *tensor.shape[-1:]):
        raise GoldenSetInvalid(
            file, f"outputs: '{name}' has shape {list(tensor.shape)}; ArgMax needs a last axis"
        )


def _fit_tensors(tensors: Tensors, specs: list[TensorSpec]) -> Tensors:
    by_name = {spec.name: spec for spec in specs}
    return {name: _fit_tensor(tensor, by_name.get(name)) for name, tensor in tensors.items()}


def _fit_tensor(tensor: Tensor, spec: TensorSpec | None) -> Tensor:
    if spec is None:
        return tensor
    if spec.datatype == "BF16" and tensor.datatype == "FP32":
        tensor = cast_bfloat16(tensor)
    if len(spec.dims) == tensor.array.ndim + 1:
        return Tensor(tensor.datatype, np.expand_dims(tensor.array, 0))
    return tensor


def _describe_errors(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc']) or 'the file'}: {issue['msg']}"
        for issue in error.errors()[:3]
    )
