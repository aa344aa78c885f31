"""The check of a version, by its Job's own program and a golden set that its owner recorded."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from slipway.api.golden import ARRAYS, FILE, INPUT_PREFIX, OUTPUT_PREFIX
from slipway.api.modeldeployment.model import GoldenSet
from slipway.api.request import CheckRequest, GoldenRequest, SourceRequest
from slipway.api.result import CheckResult
from slipway.jobs.check.main import CheckMounts, run_check_job

from tests.contract.faults.serving import Served
from tests.contract.faults.version import Array, Arrays, Family

FOLDER = "golden"
GOLDEN_SET = {"uri": f"pvc://claim/{FOLDER}"}
"""Of the spec: all else is the default."""


def record_golden_set(family: Family, stable: Served, claim: Path) -> None:
    """Keep what stable answers to its owner's cases."""
    folder = claim / FOLDER
    folder.mkdir()
    (folder / FILE).write_text(yaml.safe_dump({"outputs": dict(family.rules)}))
    inputs = _stack([question.inputs for question in family.golden], INPUT_PREFIX)
    outputs = _stack([stable.ask(each).read() for each in family.golden], OUTPUT_PREFIX)
    np.savez(folder / ARRAYS, allow_pickle=False, **inputs, **outputs)


def _stack(cases: Sequence[Arrays], prefix: str) -> dict[str, Array]:
    """Return an array for each tensor, with the case as its first axis; no case has two rows."""
    return {
        f"{prefix}{name}": _without_objects(np.stack([case[name][0] for case in cases]))
        for name in cases[0]
    }


def _without_objects(array: Array) -> Array:
    if array.dtype != np.object_:
        return array
    return np.array([[item.decode() for item in row] for row in array])


def check(
    candidate: Served, stable: Served | None, model: str, claim: Path, scratch: Path
) -> CheckResult:
    """Return the verdict on a version; without stable, that on the first one."""
    defaults = GoldenSet.model_validate(GOLDEN_SET)
    request = CheckRequest(
        http=candidate.server.http,
        grpc=candidate.server.grpc,
        model_name=model,
        golden=GoldenRequest(
            source=SourceRequest(uri=defaults.uri), min_agreement=defaults.min_agreement
        ),
        stable_http=stable.server.http if stable is not None else None,
        stable_grpc=stable.server.grpc if stable is not None else None,
    )
    scratch.mkdir()
    log = scratch / "termination-log"
    run_check_job(json.dumps(request.wire()), CheckMounts(scratch=scratch, golden=claim), log)
    result = CheckResult.model_validate_json(log.read_text())
    assert result.error is None, result.error
    return result
