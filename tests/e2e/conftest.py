"""The stage of all tests: cluster, release, models, one ModelDeployment and its client.

Every worker has a namespace of its own with a client of its own, which end with its last test here:
they must not be there when another worker switches the node off.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests import lanes
from tests.cluster import clone, settings
from tests.demo.prepare import run_module
from tests.e2e import clients, diagnosis, prometheus
from tests.e2e import quiet as idle
from tests.e2e.audit import AuditLog
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model, stages
from tests.e2e.operators import VALUES, Operators
from tests.e2e.places import Scarcity
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of a worker to who prints them all."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = FIGURES.to_json()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take in the figures of a worker that ends."""
    output: dict[str, str] = getattr(node, "workeroutput", {})
    if "figures" in output:
        FIGURES.add(Figures.from_json(output["figures"]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, and write them down."""
    if FIGURES.clients:
        FIGURES.write()
        terminalreporter.section("end to end, measured")
        for line in FIGURES.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def figures() -> Figures:
    return FIGURES


@pytest.fixture(scope="session")
def kubectl(shared_directory: Path | None) -> Kubectl:
    """The cluster with the release of these sources, and short lease times."""
    lanes.once(shared_directory, "release", prepare)
    return Kubectl()


def prepare() -> None:
    """Bring the cluster to where the tests begin, with nothing left of earlier ones."""
    if clone.description(settings.CLONE) is None:
        run_module("tests.cluster", "up")
    run_module("tests.images", "build", "--push")
    release.up(VALUES)
    kubectl = Kubectl()
    for left_over in (idle.NAMESPACE, prometheus.NAMESPACE, *stages(kubectl)):
        kubectl.delete_namespace(left_over)


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
def found_audit() -> AuditLog | None:
    """The audit log, where the cluster has one that can be read from here."""
    path = (clone.description(settings.CLONE) or {}).get("auditLog")
    return AuditLog(Path(path)) if path is not None else None


@pytest.fixture(scope="session")
def audit(found_audit: AuditLog | None) -> AuditLog:
    if found_audit is None:
        pytest.skip("this cluster has no audit log that can be read from here")
    return found_audit


@pytest.fixture(scope="session")
def samples() -> Samples:
    return build_samples()


@pytest.fixture(scope="package")
def files(kubectl: Kubectl, samples: Samples) -> Iterator[Kubectl]:
    """A fresh namespace that allows little, with the sample models to fetch."""
    kubectl.apply(restricted_namespace(NAMESPACE))
    serve_files(kubectl, NAMESPACE, release.images().operator, samples.files)
    yield kubectl
    if not os.environ.get(KEEP):
        kubectl.run("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")


@pytest.fixture(scope="package")
def follow(files: Kubectl, figures: Figures) -> Iterator[Follow]:
    """Follow ModelDeployments by name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Deployed(files, figures, NAMESPACE, name))


@pytest.fixture(scope="package")
def digits(follow: Follow) -> Deployed:
    """The ModelDeployment of most tests, with version 1 in service."""
    deployed = follow("digits")
    deployed.apply(Model(version="1", file="digits-1.onnx", golden=True))
    deployed.wait_for_end("1")
    return deployed


@pytest.fixture(scope="package")
def start_load(kubectl: Kubectl, figures: Figures, samples: Samples) -> StartLoad:
    """Start clients of a ModelDeployment."""

    def start(plan: Plan) -> AbstractContextManager[Client]:
        return clients.running(kubectl, figures, plan, samples.load)

    return start


@pytest.fixture(scope="package")
def scarcity(
    kubectl: Kubectl,
    follow: Follow,
    start_load: StartLoad,
    figures: Figures,
    found_audit: AuditLog | None,
) -> Scarcity:
    """What tests of scarce accelerators have at hand."""
    return Scarcity(kubectl, follow, start_load, figures, found_audit)


@pytest.fixture(scope="package")
def client(digits: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """A steady load on `digits` from its first version on."""
    with start_load(Plan(digits.name)) as client:
        yield client


@pytest.fixture(scope="package")
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
