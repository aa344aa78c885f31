"""Starts the client in a pod, follows its records, stops it."""

import base64
import importlib
import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kubectl import POD_SECURITY, RESTRICTED, Kubectl, Manifest, until
from tests.load.plan import LoadPlan, Wire
from tests.load.record import Record, Totals, parse_line

SOURCES = (
    "__init__.py",
    "binary_sender.py",
    "client.py",
    "http2.py",
    "ledger.py",
    "patient_senders.py",
    "plan.py",
    "record.py",
    "senders.py",
)
LIBRARIES = ("h2", "hpack", "hyperframe")
"""Pure Python that no image has, for those who speak HTTP/2."""
ZIPPED = "libraries.zip"
CODE = "/srv/load"
START_SECONDS = 90.0
RECONNECT_SECONDS = 1.0
STOP = "import os, signal; os.kill(1, signal.SIGTERM)"
"""From inside, so that the pod ends by itself and its log stays."""


class Load:
    """A steady load; as a context manager it stops and removes its pod at the end.

    Records are kept on this side, so that they outlive the pod and the node.
    """

    def __init__(
        self, kubectl: Kubectl, namespace: str, image: str, plan: LoadPlan, *, name: str = "load"
    ) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._name = name
        self._image = image
        self._plan = plan
        self._records: dict[int, Record] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stream: subprocess.Popen[str] | None = None
        self._follower = threading.Thread(target=self._follow, daemon=True)

    def start(self, *, needs_success: bool = True) -> None:
        """Start the pod and wait for its first request that is answered well, or that ends at all.

        Raises:
            KubectlError: none came in time.

        """
        self._delete()
        self._kubectl.apply_server_side(
            *render_load(self._namespace, self._name, self._image, self._plan)
        )
        self._kubectl.wait(self._namespace, f"pod/{self._name}", "condition=Ready", START_SECONDS)
        self._follower.start()
        patience = START_SECONDS + 2 * self._plan.answer_seconds
        has_begun = self._was_answered if needs_success else self._has_sent
        until(has_begun, f"an answer to pod {self._name}", patience)

    def records(self, since: float = 0.0) -> list[Record]:
        """Return the records of the seconds that began at `since`, in Unix time, or later."""
        with self._lock:
            return [record for t, record in sorted(self._records.items()) if t >= since]

    @property
    def total(self) -> Totals:
        """All that has ended so far."""
        records = self.records()
        return records[-1].total if records else Totals()

    def wait_for(
        self, condition: Callable[[Totals], bool], what: str, seconds: float = 60.0
    ) -> Totals:
        """Wait until the totals since now fulfil the condition, and return them.

        Raises:
            KubectlError: they did not in time; names `what` was waited for.

        """
        before = self.total
        until(lambda: condition(self.total.minus(before)), what, seconds)
        return self.total.minus(before)

    def stop(self, seconds: float = 60.0) -> Totals:
        """End the load, and return the totals once nothing is in flight any more.

        Raises:
            KubectlError: the client did not end in time.

        """
        if not self._is_over():
            words = ("exec", self._name, "-n", self._namespace, "--", "python", "-c", STOP)
            self._kubectl.run(*words)
        until(self._is_over, f"the last record of pod {self._name}", seconds)
        return self.total

    def remove(self) -> None:
        """Remove the pod and its ConfigMap; the records stay here."""
        self._over.set()
        while self._follower.is_alive():  # it may have been about to begin another stream
            if self._stream is not None:
                self._stream.terminate()
            self._follower.join(RECONNECT_SECONDS)
        self._delete()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.stop()
        finally:
            self.remove()

    def _was_answered(self) -> bool:
        return self.total.sent > self.total.failed

    def _has_sent(self) -> bool:
        return self.total.sent > 0

    def _delete(self) -> None:
        names = (f"pod/{self._name}", f"configmap/{self._name}")
        words = ("delete", *names, "-n", self._namespace, "--ignore-not-found", "--grace-period=1")
        self._kubectl.run(*words)

    def _is_over(self) -> bool:
        records = self.records()
        return bool(records) and records[-1].last

    def _follow(self) -> None:
        """Read the pod's log; one that breaks off is read again, and known seconds are the same."""
        while not self._over.is_set() and not self._is_over():
            try:
                self._read_once()
            except OSError as error:
                print(f"log: {error}; again in {RECONNECT_SECONDS} s", file=sys.stderr)
            self._over.wait(RECONNECT_SECONDS)

    def _read_once(self) -> None:
        words = ("logs", "--follow", self._name, "-n", self._namespace)
        self._stream = subprocess.Popen(
            self._kubectl.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        with self._stream as stream:
            self._read(stream.stdout or ())

    def _read(self, lines: Iterable[str]) -> None:
        for line in lines:
            record = parse_line(line)
            if record is not None:
                with self._lock:
                    known = self._records.get(record.t)
                    if known is None or known.total.sent <= record.total.sent:
                        self._records[record.t] = record


def render_load(namespace: str, name: str, image: str, plan: LoadPlan) -> list[Manifest]:
    """Return the ConfigMap with the client's code and plan, and the pod that runs it."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    here = Path(__file__).parent
    files = {source: (here / source).read_text() for source in SOURCES}
    places = [{"key": source, "path": f"tests/load/{source}"} for source in SOURCES]
    plan_place = {"key": "plan.json", "path": "plan.json"}
    zipped = zip_libraries() if plan.wire is Wire.HTTP2 else b""
    binary = {ZIPPED: base64.b64encode(zipped).decode()} if zipped else {}
    library_places = [{"key": key, "path": key} for key in binary]
    items = [*places, plan_place, *library_places]
    volume = {"name": "code", "configMap": {"name": name, "items": items}}

    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": files | {"plan.json": plan.to_json()},
            "binaryData": binary,
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": POD_SECURITY,
                "containers": [_container(image)],
                "volumes": [volume],
            },
        },
    ]


def zip_libraries() -> bytes:
    """Return the libraries as an archive that Python imports from."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in LIBRARIES:
            folder = Path(str(importlib.import_module(name).__file__)).parent
            for file in sorted(folder.rglob("*.py")):
                archive.write(file, file.relative_to(folder.parent))
    return raw.getvalue()


def _container(image: str) -> Manifest:
    return {
        "name": "load",
        "image": image,
        "command": ["python", "-m", "tests.load.client", f"{CODE}/plan.json"],
        "workingDir": CODE,
        "env": [{"name": "PYTHONPATH", "value": f"{CODE}:{CODE}/{ZIPPED}"}],
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "code", "mountPath": CODE, "readOnly": True}],
    }
