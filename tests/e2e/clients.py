"""Clients: steady loads that must lose nothing, and single requests."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from slipway.api.names import CLIENT_GRPC_PORT, CLIENT_HTTP_PORT

from tests.demo.report import describe_causes
from tests.e2e.figures import Figures
from tests.e2e.objects import CANDIDATE_HEADER, NAMESPACE
from tests.install import release
from tests.kubectl import Kubectl, KubectlError
from tests.load.plan import GRPC_WIRES, LoadPlan, Wire
from tests.load.pod import Load
from tests.load.record import Record, Totals
from tests.models.digits import PIXELS, Images
from tests.models.samples import FAULT_MARKER
from tests.models.server import NAME as FILE_SERVER
from tests.patience import patient

RATE = 40.0
"""Requests per second: enough for a step's samples in a few seconds, on two busy cores."""
IMAGE_DIGITS = 4
LONGEST_SECONDS = 7200.0
ANSWER_SECONDS = patient(15.0)
SEND_ONE = """
import json, sys, urllib.error, urllib.request
url, header, value, pixel = sys.argv[1:5]
pixels = [float(pixel)] * int(sys.argv[5])
tensor = {"name": "image", "shape": [1, len(pixels)], "datatype": "FP32", "data": pixels}
body = json.dumps({"inputs": [tensor]}).encode()
request = urllib.request.Request(url, data=body, headers={header: value})
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.status, answer.headers["x-slipway-revision"])
except urllib.error.HTTPError as error:
    print(error.code, error.headers["x-slipway-revision"])
except OSError as error:
    print(0, error)
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A load on a ModelDeployment of the tests."""

    name: str
    """Of the ModelDeployment."""
    namespace: str = NAMESPACE
    wire: Wire = Wire.HTTP
    rate: float = RATE
    suffix: str = ""
    address: str = ""
    """host:port of a gateway; empty: the Service of the ModelDeployment."""
    timeout_seconds: float = ANSWER_SECONDS
    """Of one request."""
    body_bytes: int = 0
    """Of a large body."""
    answer_seconds: float = 0.0
    """How long the answers take that are asked for."""

    @property
    def pod(self) -> str:
        """Name of the client's pod."""
        return f"load-{self.name}{self.suffix}"

    def for_pod(self, images: Images) -> LoadPlan:
        """Return what the pod is told."""
        port = CLIENT_GRPC_PORT if self.wire in GRPC_WIRES else CLIENT_HTTP_PORT
        return LoadPlan(
            address=self.address or f"{self.name}:{port}",
            model=self.name,
            images=images.round(IMAGE_DIGITS).tolist(),
            marker=FAULT_MARKER,
            wire=self.wire,
            rate=self.rate,
            seconds=LONGEST_SECONDS,
            timeout_seconds=self.timeout_seconds,
            body_bytes=self.body_bytes,
            answer_seconds=self.answer_seconds,
        )


@dataclass(slots=True)
class Client:
    """A load, and the rule that it loses nothing."""

    load: Load
    name: str
    is_gone: bool = False
    """Whether the node took the client with it."""

    @contextmanager
    def loses_nothing(self) -> Iterator[None]:
        """Fail unless all requests that end in the meantime are answered.

        Raises:
            AssertionError: some were lost; with what the client saw.

        """
        before, first = self.load.total, len(self.load.records())
        yield
        self.sends_on()
        since = self.load.total.minus(before)
        assert since.lost == 0, (
            f"client {self.name} lost {since.lost} of {since.sent}: "
            f"{describe_losses(self.load.records()[max(0, first - 1) :])}"
        )

    def sends_on(self, seconds: float = 2.0, rate: float = RATE) -> Totals:
        """Wait for the answers of a while, and return what came."""
        enough = rate * seconds
        return self.load.wait_for(lambda since: since.sent >= enough, "the client's answers")

    def records_since(self, moment: float) -> Sequence[Record]:
        """Return the records of the seconds from a Unix time on."""
        return self.load.records(since=moment)


@contextmanager
def running(kubectl: Kubectl, figures: Figures, plan: Plan, images: Images) -> Iterator[Client]:
    """Run a load while the body runs."""
    image = release.images().operator
    load = Load(kubectl, plan.namespace, image, plan.for_pod(images), name=plan.pod)
    client = Client(load, plan.pod)
    try:
        load.start()
        yield client
        stop(client)
    finally:
        name = f"{plan.namespace}/{plan.pod}"
        figures.note_clients(name, load.total, describe_causes(load.records()))
        load.remove()


def describe_losses(records: Sequence[Record]) -> str:
    """Return what the client saw in each second with a failure, and how slow answers were."""
    return "; ".join(
        f"{datetime.fromtimestamp(record.t, UTC):%H:%M:%S} {describe_causes([record])}, "
        f"{record.in_flight} in flight, p99 {record.p99_millis:.0f} ms"
        for record in records
        if record.counts.lost
    )


def stop(client: Client) -> None:
    """End a load, and count what was still on its way."""
    if not client.is_gone:
        client.load.stop()


StartLoad = Callable[[Plan], AbstractContextManager[Client]]
"""Starts a load, and ends it with the body."""


def ask_candidate(kubectl: Kubectl, name: str, pixel: float = 0.5) -> str:
    """Send one image of this brightness to the candidate; return status and revision."""
    url = f"http://{name}:8000/v2/models/{name}"
    return ask_once(kubectl, f"deployment/{FILE_SERVER}", url, pixel)


def ask_once(kubectl: Kubectl, pod: str, url: str, pixel: float = 0.5) -> str:
    """Send one image from a pod to a model's URL; return status and revision.

    The header for the candidate is with it. None is the revision where no router answered.
    """
    header = (CANDIDATE_HEADER["name"], CANDIDATE_HEADER["value"])
    words = ("exec", pod, "-n", NAMESPACE, "--", "python", "-c", SEND_ONE, f"{url}/infer")
    try:
        said = kubectl.run(*words, *header, str(pixel), str(PIXELS))
    except KubectlError as error:
        return f"0 {error}"
    return said.strip()
