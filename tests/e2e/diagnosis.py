"""What a person needs to see when a test failed."""

from tests.e2e.objects import NAMESPACE
from tests.e2e.operators import SELECTOR
from tests.install.helm import NAMESPACE as SYSTEM
from tests.kubectl import Kubectl, KubectlError

LAST_LINES = 60
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("describe", "modeldeployments", "-n", NAMESPACE),
    ("get", "modelroutes", "-n", NAMESPACE, "-o", "yaml"),
    ("get", "pods,jobs,deployments", "-n", NAMESPACE, "-o", "wide"),
    ("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"),
    ("get", "pods", "-n", SYSTEM),
    ("logs", "-n", SYSTEM, f"--selector={SELECTOR}", "--prefix", f"--tail={LAST_LINES}"),
)


def collect(kubectl: Kubectl) -> str:
    """Return what the cluster says; a question that gets no answer says so."""
    return "\n".join(_answer(kubectl, words) for words in QUESTIONS)


def _answer(kubectl: Kubectl, words: tuple[str, ...]) -> str:
    try:
        lines = kubectl.run(*words).splitlines()
    except KubectlError as error:
        lines = [str(error)]
    return "\n".join([f"--- kubectl {' '.join(words)}", *lines[-3 * LAST_LINES :]])
