"""What a person needs to see when the demo went wrong."""

from tests.demo.versions import NAME, NAMESPACE
from tests.install.helm import NAMESPACE as SYSTEM_NAMESPACE
from tests.kubectl import Kubectl, KubectlError

LAST_LINES = 40
LONGEST_LINE = 400
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("describe", "modeldeployment", NAME, "-n", NAMESPACE),
    ("get", "pods,jobs,modelroutes", "-n", NAMESPACE, "-o", "wide"),
    ("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"),
    ("get", "pods", "-n", SYSTEM_NAMESPACE),
    (
        *("logs", "-n", SYSTEM_NAMESPACE, "--selector=app.kubernetes.io/name=slipway"),
        *("--prefix", f"--tail={LAST_LINES}"),
    ),
)


def print_diagnosis(kubectl: Kubectl) -> None:
    """Print what the cluster says; a question that gets no answer says so."""
    for words in QUESTIONS:
        print(f"\n--- kubectl {' '.join(words)}")
        try:
            for line in kubectl.run(*words).splitlines()[-2 * LAST_LINES :]:
                print(line[:LONGEST_LINE], flush=True)
        except KubectlError as error:
            print(error, flush=True)
