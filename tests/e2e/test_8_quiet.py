"""At rest the operator writes nothing: the API server's audit log says so."""

import time
from collections.abc import Iterator

import pytest

from tests.e2e import quiet as idle
from tests.e2e.audit import AuditLog, Write
from tests.e2e.operators import Operators
from tests.e2e.quiet import Quiet
from tests.kubectl import Kubectl, until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("client")]

REST_SECONDS = 30.0


@pytest.fixture(scope="module")
def ten(quiet: Quiet, kubectl: Kubectl) -> Iterator[Quiet]:
    """Ten idle ModelDeployments, gone after these tests."""
    yield quiet
    kubectl.run("delete", "namespace", idle.NAMESPACE, "--wait=false")


def test_ten_idle_models_cost_no_write_whatever_else_goes_on(ten: Quiet) -> None:
    until(lambda: ten.writes() or not ten.left, "the end of the quiet", ten.left + 30)
    assert ten.writes() == []


@pytest.mark.usefixtures("ten")
def test_an_operator_at_rest_writes_nothing_at_all(audit: AuditLog) -> None:
    assert writes_in(audit, idle.settle(audit), REST_SECONDS) == []


@pytest.mark.usefixtures("ten")
def test_a_restart_at_rest_costs_no_write(audit: AuditLog, killable: Operators) -> None:
    mark = idle.settle(audit)
    killable.kill(killable.processes())
    killable.replace()
    killable.wait_for_leader()
    assert writes_in(audit, mark, REST_SECONDS) == []


def writes_in(audit: AuditLog, mark: int, seconds: float) -> list[Write]:
    """Return the operator's first writes since the mark; none, after all this time."""
    end = time.monotonic() + seconds
    until(
        lambda: audit.writes_of_operator(mark) or time.monotonic() > end,
        "the end of the quiet",
        seconds + 30,
    )
    return audit.writes_of_operator(mark)
