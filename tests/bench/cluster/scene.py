"""Where the figures are taken: a namespace, the files in it, and the models that it serves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from slipway.api.names import CLIENT_GRPC_PORT, CLIENT_HTTP_PORT

from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.objects import Model
from tests.install import release
from tests.kubectl import Kubectl, restricted_namespace
from tests.load.plan import LoadPlan, Wire
from tests.load.pod import Load
from tests.models.samples import FAULT_MARKER, Samples, build_samples
from tests.models.server import serve_files

NAMESPACE = "slipway-bench"
IMAGES = 200
DIGITS = 4
LONGEST_SECONDS = 6 * 3600.0
"""A load ends by itself after this time."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A namespace of the cluster that runs."""

    kubectl: Kubectl
    samples: Samples
    figures: Figures

    @property
    def image(self) -> str:
        """The operator's image, which has Python and an HTTP client."""
        return release.images().operator

    @contextmanager
    def serving(self, model: Model) -> Iterator[Deployed]:
        """Serve a model while the body runs."""
        with Deployed(self.kubectl, self.figures, NAMESPACE, model.name) as deployed:
            deployed.apply(model)
            deployed.wait_for_end(model.version)
            yield deployed
        words = ("delete", "modeldeployment", model.name, "-n", NAMESPACE)
        self.kubectl.run(*words, "--cascade=foreground", "--timeout=60s", seconds=70)

    def load(self, model: str, rate: float, name: str = "load", wire: Wire = Wire.HTTP) -> Load:
        """Return a steady load on a model; it is started as a context manager."""
        port = CLIENT_HTTP_PORT if wire is Wire.HTTP else CLIENT_GRPC_PORT
        plan = LoadPlan(
            address=f"{model}:{port}",
            model=model,
            images=self.samples.load[:IMAGES].round(DIGITS).tolist(),
            marker=FAULT_MARKER,
            wire=wire,
            rate=rate,
            seconds=LONGEST_SECONDS,
        )
        return Load(self.kubectl, NAMESPACE, self.image, plan, name=name)


@contextmanager
def make_scene() -> Iterator[Scene]:
    """Make the namespace; it goes with all that is in it."""
    kubectl, samples = Kubectl(), build_samples()
    kubectl.delete_namespace(NAMESPACE)
    kubectl.apply(restricted_namespace(NAMESPACE))
    made = Scene(kubectl, samples, Figures())
    try:
        serve_files(kubectl, NAMESPACE, made.image, samples.files)
        yield made
    finally:
        kubectl.delete_namespace(NAMESPACE, wait_seconds=0)


def a_model(name: str, version: str, file: str, **more: object) -> Model:
    """Return a version that is fetched from the namespace's own server."""
    made = {"namespace": NAMESPACE, "files_in": NAMESPACE, "mode": "Fetch", **more}
    return Model(name=name, version=version, file=file, **made)  # type: ignore[arg-type]
