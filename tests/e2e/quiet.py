"""A namespace of idle ModelDeployments, in which the operator has nothing to write."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from slipway.jobs.file_tree import TreeFile, make_tree
from slipway.jobs.model_digest import hash_tree

from tests.e2e.audit import AuditLog, Write
from tests.e2e.objects import Model
from tests.kubectl import Kubectl, restricted_namespace, until

NAMESPACE = "slipway-e2e-quiet"
MODELS = 10
FILE = "digits-1.onnx"
SECONDS = float(os.environ.get("SLIPWAY_QUIET_SECONDS", "300"))
"""For so long the namespace must have been quiet."""
READY_SECONDS = 300.0
SETTLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Quiet:
    """The namespace since all in it was promoted."""

    audit: AuditLog
    mark: int
    """Where in the audit log the quiet begins."""
    began: float
    """When, on the monotonic clock."""

    def writes(self) -> list[Write]:
        """Return what the operator wrote in the namespace since then."""
        return [w for w in self.audit.writes_of_operator(self.mark) if w.namespace == NAMESPACE]

    @property
    def left(self) -> float:
        """Seconds until it has been quiet for long enough."""
        return max(0.0, self.began + SECONDS - time.monotonic())


def begin(kubectl: Kubectl, audit: AuditLog, content: bytes, scratch: Path) -> Quiet:
    """Apply the ModelDeployments of a model file, and wait until nothing is left to do."""
    kubectl.apply(restricted_namespace(NAMESPACE))
    digest = digest_of(content, scratch)
    models = [
        Model(
            name=f"idle-{number}",
            namespace=NAMESPACE,
            version="1",
            file=FILE,
            digest=digest,
            mode="Fetch",
        )
        for number in range(MODELS)
    ]

    kubectl.apply(*(model.manifest() for model in models))
    words = ("wait", "modeldeployments", "--all", "-n", NAMESPACE, "--for=condition=Ready")
    kubectl.run(*words, f"--timeout={READY_SECONDS:.0f}s", seconds=READY_SECONDS + 10)

    mark = settle(audit, NAMESPACE)
    return Quiet(audit, mark, time.monotonic())


def settle(audit: AuditLog, namespace: str | None = None) -> int:
    """Wait until the operator has written nothing for a while; return where that began."""
    mark, since = audit.mark(), time.monotonic()

    def is_quiet() -> bool:
        nonlocal mark, since
        if any(namespace in (None, w.namespace) for w in audit.writes_of_operator(mark)):
            mark, since = audit.mark(), time.monotonic()
        return time.monotonic() - since >= SETTLE_SECONDS

    until(is_quiet, "an operator at rest", READY_SECONDS)
    return mark


def digest_of(content: bytes, scratch: Path) -> str:
    """Return the model digest of a file, as users pin it."""
    path = scratch / FILE
    path.write_bytes(content)
    return hash_tree(make_tree([TreeFile(FILE, path)])).digest
