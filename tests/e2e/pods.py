"""Which revisions had pods at the same time: every change of a pod, as the API server told it."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from slipway.api.names import (
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    LABEL_REVISION,
)

from tests.kubectl import Kubectl

LABEL = LABEL_REVISION.replace(".", r"\.")
LINE = f'{{.type}} {{.object.metadata.name}} {{.object.metadata.labels.{LABEL}}}{{"\\n"}}'
END_SECONDS = 10.0


class PodLog:
    """The server pods of a ModelDeployment; one counts until nothing is left of it."""

    def __init__(self) -> None:
        self.together: list[frozenset[str]] = []
        """Revisions that had pods at once, after each change."""
        self.ended = False
        """Whether the stream broke off, so that changes may be missing."""
        self._pods: dict[str, str] = {}

    def note(self, line: str) -> None:
        """Take in a change: kind of event, pod, revision."""
        kind, pod, revision = line.split()
        if kind == "DELETED":
            self._pods.pop(pod, None)
        else:
            self._pods[pod] = revision
        self.together.append(frozenset(self._pods.values()))


@contextmanager
def watched(kubectl: Kubectl, namespace: str, name: str) -> Iterator[PodLog]:
    """Follow the pods of a ModelDeployment while the body runs."""
    selector = f"{LABEL_OWNER}={name},{LABEL_COMPONENT}={COMPONENT_SERVER}"
    words = ("get", "pods", "-n", namespace, "-l", selector, "--watch", "--output-watch-events")
    log = PodLog()
    with subprocess.Popen(
        kubectl.command(*words, "-o", f"jsonpath={LINE}"), stdout=subprocess.PIPE, text=True
    ) as stream:

        def follow() -> None:
            for line in stream.stdout or ():
                log.note(line)
            log.ended = True

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield log
        finally:
            stream.terminate()
            thread.join(END_SECONDS)
