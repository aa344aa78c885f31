"""What this user may ask for: the cluster's own answer for each action, by kubectl.

An action is a right of its own, `create modeldeployments/<action>`, beside the right to write the
annotation (docs/decisions/0050).
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from slipway.api.names import GROUP
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl, Manifest
from slipway.cli.kubectl_watch import split_documents
from slipway.cli.main import ACTIONS

KEPT_SECONDS = 60.0
WRITE = "patch"
PLURAL = "modeldeployments"


@dataclass(slots=True)
class RightsBook:
    """The answers by namespace, each for a minute: rights change while a page is open."""

    kubectl: Kubectl
    _known: dict[str, tuple[float, dict[str, str]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def find(self, namespace: str) -> dict[str, str]:
        """Return why the user may not ask for each action; empty where they may."""
        with self._lock:
            at, found = self._known.get(namespace, (0.0, {}))
            if found and time.monotonic() - at < KEPT_SECONDS:
                return found
            found = read_rights(self.kubectl, namespace)
            self._known[namespace] = time.monotonic(), found
            return found

    def forget(self) -> None:
        """Ask anew the next time."""
        self._known.clear()


def read_rights(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """Return the same, from the cluster; where it does not say, nothing is kept from the user."""
    reviews = "\n---\n".join(json.dumps(review) for review in _list_reviews(namespace))
    words = ("create", "-f", "-", "-o", "json", "--validate=false")
    try:
        printed = kubectl.run(*words, stdin=reviews)
        answers = [json.loads(text) for text in split_documents(printed.splitlines(keepends=True))]
    except (CliError, ValueError):
        return dict.fromkeys(ACTIONS, "")

    allowed = {_right_of(answer) for answer in answers if _is_allowed(answer)}
    return {verb: _explain(verb, namespace, allowed) for verb in ACTIONS}


def _explain(verb: str, namespace: str, allowed: set[str]) -> str:
    if PLURAL not in allowed:
        return f"needs the right to {WRITE} {PLURAL} in namespace {namespace}"
    if f"{PLURAL}/{verb}" not in allowed:
        return f"needs the right to create {PLURAL}/{verb} in namespace {namespace}"
    return ""


def _list_reviews(namespace: str) -> Iterator[Manifest]:
    yield _review({"verb": WRITE}, namespace)
    for verb in ACTIONS:
        yield _review({"verb": "create", "subresource": verb}, namespace)


def _review(right: Manifest, namespace: str) -> Manifest:
    about = {"group": GROUP, "resource": PLURAL, "namespace": namespace, **right}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }


def _right_of(answer: Manifest) -> str:
    about = answer.get("spec", {}).get("resourceAttributes", {})
    sub = about.get("subresource")
    return f"{PLURAL}/{sub}" if sub else PLURAL


def _is_allowed(answer: Manifest) -> bool:
    return bool(answer.get("status", {}).get("allowed"))
