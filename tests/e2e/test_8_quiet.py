"""At rest the operator writes nothing: the API server's audit log says so."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway.jobs.digest import hash_tree
from slipway.jobs.tree import TreeFile, make_tree

from tests.e2e.audit import AuditLog, Write
from tests.e2e.objects import Model
from tests.e2e.operators import Operators
from tests.kubectl import Kubectl, restricted_namespace, until
from tests.models.samples import Samples

pytestmark = pytest.mark.e2e

QUIET = "slipway-e2e-quiet"
MODELS = 10
SECONDS = float(os.environ.get("SLIPWAY_QUIET_SECONDS", "300"))
READY_SECONDS = 300
SETTLE_SECONDS = 10.0
RESTART_SECONDS = 30.0
FILE = "digits-1.onnx"


@pytest.fixture(scope="module")
def ten(
    kubectl: Kubectl, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """Ten ModelDeployments of a namespace of their own, all promoted."""
    kubectl.apply(restricted_namespace(QUIET))
    digest = digest_of(samples.files[FILE], tmp_path_factory.mktemp("model"))
    models = [
        Model(
            name=f"idle-{number}",
            namespace=QUIET,
            version="1",
            file=FILE,
            digest=digest,
            mode="Fetch",
        )
        for number in range(MODELS)
    ]
    kubectl.apply(*(model.manifest() for model in models))
    words = ("wait", "modeldeployments", "--all", "-n", QUIET, "--for=condition=Ready")
    kubectl.run(*words, f"--timeout={READY_SECONDS}s", seconds=READY_SECONDS + 10)
    yield kubectl
    kubectl.run("delete", "namespace", QUIET, "--wait=false")


@pytest.mark.usefixtures("client", "ten")
def test_ten_idle_models_cost_no_write(audit: AuditLog) -> None:
    settle(audit)
    assert writes_in(audit, audit.mark(), SECONDS) == []


@pytest.mark.usefixtures("client", "ten")
def test_a_restart_of_the_operator_costs_no_write(audit: AuditLog, killable: Operators) -> None:
    mark = audit.mark()
    killable.kill(killable.processes())
    killable.replace()
    killable.wait_for_leader()
    assert writes_in(audit, mark, RESTART_SECONDS) == []


def writes_in(audit: AuditLog, mark: int, seconds: float) -> list[Write]:
    """Return the operator's first writes since the mark; none, after all this time."""
    end = time.monotonic() + seconds
    until(
        lambda: audit.writes_of_operator(mark) or time.monotonic() > end,
        "the end of the quiet",
        seconds + 30,
    )
    return audit.writes_of_operator(mark)


def settle(audit: AuditLog) -> None:
    """Wait until what came before is over."""
    until(lambda: not writes_in(audit, audit.mark(), SETTLE_SECONDS), "an operator at rest", 120)


def digest_of(content: bytes, place: Path) -> str:
    """Return the model digest of a file, as users pin it."""
    path = place / FILE
    path.write_bytes(content)
    return hash_tree(make_tree([TreeFile(FILE, path)])).digest
