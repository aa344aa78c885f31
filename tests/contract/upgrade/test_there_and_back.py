"""The earlier release, this one and back again: real builds, objects of both, under load."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.names import DEPRECATED_VERSION, VERSION

from tests.cluster import clone, settings
from tests.contract.upgrade.journey import (
    MOVING,
    NAMESPACE,
    NEW,
    PLACES,
    FreshKubectl,
    Journey,
    Leg,
    beyond,
    differences,
    is_only_said_otherwise,
)
from tests.e2e import clients
from tests.e2e.audit import AuditLog
from tests.e2e.clients import Plan
from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, Model, step
from tests.e2e.operators import VALUES, Operators
from tests.e2e.unchanged import changed
from tests.install import earlier, release
from tests.install.earlier import Earlier
from tests.kubectl import CLONE, Manifest, restricted_namespace, until
from tests.load.plan import Wire
from tests.models.samples import Samples, build_samples
from tests.models.server import serve_files

pytestmark = pytest.mark.upgrade

ROLLED, FETCHED, GOLDEN = "rolled", "fetched", "golden"
AT_REST = (ROLLED, FETCHED, GOLDEN)
APPROVED, DOOMED = "approved", "doomed"
FRESH = "fresh"
RATE = 5.0
FAILING = "failing-late.tar.gz"
"""Answers well for three minutes: the earlier release begins with it, and this one sees it fail."""
FIGURES = Figures()


@dataclass(frozen=True, slots=True)
class Written:
    """A ModelDeployment in a file of somebody who knows one version of the API."""

    model: Model
    earlier: Earlier | None = None
    """The release whose fields they know; None: this one."""
    version: str = DEPRECATED_VERSION

    def manifest(self) -> Manifest:
        """Return the file's content."""
        if self.earlier is None:
            return self.model.manifest()
        return self.earlier.known(self.model.manifest(), self.version)


@pytest.fixture(scope="module")
def samples() -> Samples:
    return build_samples()


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    """The earlier revision, with its images in the cluster's registry."""
    revision = os.environ.get(earlier.REVISION, "")
    found = earlier.check_out(revision, tmp_path_factory.mktemp("earlier"))
    print(f"\nbuilding {found.commit[:7]} of {found.date} in {found.root}", file=sys.stderr)
    found.build()
    return found


@pytest.fixture(scope="module")
def journey(
    previous: Earlier, samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journey]:
    """The earlier release with nothing but model files to fetch; figures are shown at the end."""
    log = (clone.description(settings.CLONE) or {}).get("auditLog")
    if log is None:
        pytest.skip("this cluster has no audit log that can be read from here")

    kubectl = FreshKubectl(cache=tmp_path_factory.mktemp("cache") / "kubectl")
    release.down()
    for namespace in PLACES:
        kubectl.delete_namespace(namespace)
        kubectl.apply(restricted_namespace(namespace))
    serve_files(kubectl, NAMESPACE, release.images().operator, samples.files)

    with ExitStack() as stack:
        journey = Journey(previous, kubectl, Operators(kubectl), AuditLog(Path(log)), stack)
        stack.callback(end, journey)
        journey.install_earlier()
        yield journey


def end(journey: Journey) -> None:
    """Show what was measured, and leave the cluster with the release of this tree."""
    print(f"\nfrom {journey.earlier.commit[:7]} of {journey.earlier.date}", file=sys.stderr)
    print("\n".join(str(leg) for leg in journey.legs), file=sys.stderr)
    if not os.environ.get("SLIPWAY_E2E_KEEP"):
        for namespace in PLACES:
            journey.kubectl.delete_namespace(namespace, wait_seconds=0)
        release.up(VALUES)


def place_of(name: str) -> str:
    return {APPROVED: MOVING, DOOMED: MOVING, FRESH: NEW}.get(name, NAMESPACE)


def model(name: str, version: str, file: str = "digits-1.onnx") -> Model:
    """Return a version of one of the models, as its team writes it."""
    return Model(
        name=name,
        namespace=place_of(name),
        files_in=NAMESPACE,
        version=version,
        file=file,
        mode="Fetch" if name == FETCHED else "Image",
        golden=name == GOLDEN,
        min_agreement=0.9,
        strict=name == DOOMED,
        steps={
            APPROVED: [step(25), step(50, approval=True)],
            DOOMED: [step(25, hold=HELD)],
        }.get(name, [step(50)]),
    )


def follow(journey: Journey, name: str) -> Deployed:
    deployed = Deployed(journey.kubectl, FIGURES, place_of(name), name)
    journey.models[name] = journey.stack.enter_context(deployed)
    return deployed


def send(journey: Journey, samples: Samples, name: str, wire: Wire, rate: float = RATE) -> None:
    plan = Plan(name, place_of(name), wire, rate, suffix=f"-{wire.value.lower()}")
    load = clients.running(journey.kubectl, FIGURES, plan, samples.load)
    journey.clients.append(journey.stack.enter_context(load))


def test_models_of_the_earlier_release_roll_out_with_it(journey: Journey, samples: Samples) -> None:
    names = (*AT_REST, APPROVED, DOOMED)
    for name in names:
        follow(journey, name).apply(Written(model(name, "1"), journey.earlier))
    for name in names:
        assert journey.models[name].wait_for_end("1").outcome is Outcome.PROMOTED

    for name, wire in (
        (ROLLED, Wire.HTTP),
        (ROLLED, Wire.GRPC),
        (FETCHED, Wire.HTTP),
        (GOLDEN, Wire.GRPC),
        (APPROVED, Wire.GRPC),
    ):
        send(journey, samples, name, wire)
    send(journey, samples, DOOMED, Wire.HTTP, 20.0)

    with journey.leg("a rollout by the earlier release"):
        rolled = journey.models[ROLLED]
        rolled.apply(Written(model(ROLLED, "2", "digits-2.onnx"), journey.earlier))
        assert rolled.wait_for_end("2").outcome is Outcome.PROMOTED


def test_an_upgrade_restarts_nothing_writes_nothing_and_loses_nothing(journey: Journey) -> None:
    approved, doomed = journey.models[APPROVED], journey.models[DOOMED]
    journey.rest()
    approved.apply(Written(model(APPROVED, "2", "digits-2.onnx"), journey.earlier))
    approved.wait_for_stage(Stage.PROGRESSING, 25)
    doomed.apply(Written(model(DOOMED, "2", FAILING), journey.earlier))
    doomed.wait_for_stage(Stage.PROGRESSING, 25)
    candidate = doomed.status.candidate
    assert candidate is not None

    with nothing_changes(journey, "upgrade", but=f"{DOOMED}-{candidate.revision}"):
        journey.upgrade()
        assert doomed.status.candidate is not None, "it failed before the upgrade was over"
        journey.rest()


@contextmanager
def nothing_changes(journey: Journey, name: str, but: str = "none") -> Iterator[Leg]:
    """Expect that another release changes nothing of what it finds; pods of `but` may end.

    Routers may be replaced, and a status may be said in other words.
    """
    before, said, agents = journey.versions(), journey.statuses(), journey.agents()
    pods = {pod: it for pod, it in journey.serving().items() if f"/{but}-" not in pod}
    with journey.leg(name) as leg:
        yield leg
        leg.notes += [
            f"routers of {n}: {agents[n]} -> {new}" for n, new in journey.agents().items()
        ]

    now, serving = journey.statuses(), journey.serving()
    written = {n for n, status in said.items() if status != now.get(n)}
    found = [
        (f"{n}{path}", was, became)
        for n in written
        for path, was, became in differences(journey.known(said[n]), journey.known(now[n]))
    ]

    leg.notes += [f"{path}: {was} -> {became}" for path, was, became in found]
    assert {pod: serving.get(pod) for pod in pods} == pods
    assert [it for it in found if not is_only_said_otherwise(*it)] == []
    assert beyond(leg.writes, written) == []
    assert changed(before, journey.versions()) == {}
    assert journey.crashes() == {}


def test_what_was_under_way_ends_rightly_with_this_release(journey: Journey) -> None:
    approved, doomed = journey.models[APPROVED], journey.models[DOOMED]
    with journey.leg("ends of rollouts that the earlier release began"):
        assert doomed.wait_for_end("2").outcome is Outcome.ROLLED_BACK
        candidate = approved.status.candidate
        assert candidate is not None
        journey.plugin("approve", APPROVED, "-n", MOVING)
        assert approved.wait_for_end("2").outcome is Outcome.PROMOTED

    stable = doomed.status.stable
    assert stable is not None
    assert stable.version == "1"


def test_old_objects_and_new_ones_roll_out_with_this_release(
    journey: Journey, samples: Samples
) -> None:
    rolled, fetched = journey.models[ROLLED], journey.models[FETCHED]
    with journey.leg("rollouts by this release"):
        rolled.apply(Written(model(ROLLED, "newer", "digits-5.onnx"), journey.earlier))
        assert rolled.wait_for_end("newer").outcome is Outcome.PROMOTED
        fetched.apply(Written(model(FETCHED, "newer", "digits-2.onnx")))
        assert fetched.wait_for_end("newer").outcome is Outcome.PROMOTED
        fresh = follow(journey, FRESH)
        fresh.apply(Written(model(FRESH, "newer")))
        assert fresh.wait_for_end("newer").outcome is Outcome.PROMOTED
        send(journey, samples, FRESH, Wire.HTTP)

    assert_both_plugins_show(journey, "newer", ROLLED, FRESH)


def assert_both_plugins_show(journey: Journey, version: str, *names: str) -> None:
    for tree in (CLONE, journey.earlier.root):
        for name in names:
            assert version in journey.plugin("describe", name, "-n", place_of(name), of=tree)


def test_the_way_back_restarts_nothing_writes_nothing_and_loses_nothing(journey: Journey) -> None:
    journey.rest()
    with journey.leg("before the way back") as leg:
        if VERSION not in journey.earlier.versions:
            leg.notes.append(journey.plugin("migrate-storage", f"--to={DEPRECATED_VERSION}"))

    with nothing_changes(journey, "way back"):
        journey.roll_back()
        journey.rest()


@pytest.mark.parametrize("name", [ROLLED, FETCHED, FRESH])
def test_the_earlier_release_rolls_out_another_version_of_old_objects_and_new_ones(
    journey: Journey, name: str
) -> None:
    deployed = journey.models[name]
    with journey.leg(f"{name} by the earlier release again"):
        deployed.apply(Written(model(name, "again", "digits-2.onnx"), journey.earlier))
        assert deployed.wait_for_end("again").outcome is Outcome.PROMOTED

    until(lambda: deployed.status.candidate is None, "rest", 30)
    stable = deployed.status.stable
    assert stable is not None
    assert stable.version == "again"
    assert_both_plugins_show(journey, "again", name)
