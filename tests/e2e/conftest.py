"""The stage of all tests: cluster, release, models, one ModelDeployment and its client."""

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.cluster import clone, settings
from tests.demo.prepare import run_module
from tests.e2e import clients, diagnosis
from tests.e2e import quiet as idle
from tests.e2e.audit import AuditLog
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.operators import VALUES, Operators
from tests.e2e.quiet import Quiet
from tests.install import release
from tests.kubectl import Kubectl, restricted_namespace
from tests.models.samples import Samples, build_samples
from tests.models.server import serve_files

HERE = Path(__file__).parent
KEEP = "SLIPWAY_E2E_KEEP"
"""Variable: leave the namespace as it is at the end."""

FIGURES = Figures()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the cluster beside a failure, as it was at that moment."""
    report = yield
    if report.failed and HERE in item.path.parents and report.when != "teardown":
        report.sections.append(("the cluster", diagnosis.collect(Kubectl())))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    if FIGURES.clients:
        terminalreporter.section("end to end, measured")
        for line in FIGURES.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Iterator[Figures]:
    yield FIGURES
    FIGURES.write()


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """The cluster with the release of these sources, and short lease times."""
    if clone.description(settings.CLONE) is None:
        run_module("tests.cluster", "up")
    run_module("tests.images", "build", "--push")
    release.up(VALUES)
    return Kubectl()


@pytest.fixture(scope="session")
def operators(kubectl: Kubectl) -> Operators:
    return Operators(kubectl)


@pytest.fixture
def killable(operators: Operators) -> Operators:
    """The operators, where their processes are on this machine."""
    if not operators.processes():
        pytest.skip("the operator's processes are on another machine: they cannot be killed")
    return operators


@pytest.fixture(scope="session")
def audit() -> AuditLog:
    path = (clone.description(settings.CLONE) or {}).get("auditLog")
    if path is None:
        pytest.skip("this cluster has no audit log that can be read from here")
    return AuditLog(Path(path))


@pytest.fixture(scope="session")
def samples() -> Samples:
    return build_samples()


@pytest.fixture(scope="session")
def files(kubectl: Kubectl, samples: Samples) -> Iterator[Kubectl]:
    """A fresh namespace that allows little, with the sample models to fetch."""
    for left_over in (idle.NAMESPACE, NAMESPACE):
        kubectl.delete_namespace(left_over)
    kubectl.apply(restricted_namespace(NAMESPACE))
    serve_files(kubectl, NAMESPACE, release.images().operator, samples.files)
    yield kubectl
    if not os.environ.get(KEEP):
        kubectl.run("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="session")
def follow(files: Kubectl, figures: Figures) -> Iterator[Follow]:
    """Follow ModelDeployments by name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Deployed(files, figures, NAMESPACE, name))


@pytest.fixture(scope="session")
def digits(follow: Follow) -> Deployed:
    """The ModelDeployment of most tests, with version 1 in service."""
    deployed = follow("digits")
    deployed.apply(Model(version="1", file="digits-1.onnx", golden=True))
    deployed.wait_for_end("1")
    return deployed


@pytest.fixture(scope="session")
def start_load(kubectl: Kubectl, figures: Figures, samples: Samples) -> StartLoad:
    """Start clients of a ModelDeployment."""

    def start(plan: Plan) -> AbstractContextManager[Client]:
        return clients.running(kubectl, figures, plan, samples.load)

    return start


@pytest.fixture(scope="session")
def client(digits: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """A steady load on `digits` from its first version on."""
    with start_load(Plan(digits.name)) as client:
        yield client


@pytest.fixture(scope="session")
def quiet(
    client: Client,  # noqa: ARG001 -- the model files are served where it is
    kubectl: Kubectl,
    audit: AuditLog,
    samples: Samples,
    tmp_path_factory: pytest.TempPathFactory,
) -> Quiet:
    """Ten idle ModelDeployments; the restless tests begin with them, and the quiet ones end them.

    So the operator's kills, restarts and work elsewhere are part of what must cost them nothing.
    """
    kubectl.delete_namespace(idle.NAMESPACE)
    content = samples.files[idle.FILE]
    return idle.begin(kubectl, audit, content, tmp_path_factory.mktemp("quiet"))


@pytest.fixture
def unharmed(client: Client) -> Iterator[Client]:
    """The same load, which must lose nothing during the test."""
    with client.loses_nothing():
        yield client
