"""The pages of router pods, read through the API server's pod proxy.

That needs the right `get pods/proxy`, which the role `edit` has, and no network policy in between.
"""

from dataclasses import dataclass, field

from pydantic import ValidationError

from slipway.api.counters import PATH, Counters
from slipway.api.names import AGENT_PORT, COMPONENT_ROUTER, LABEL_COMPONENT
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Kubectl
from slipway.cli.wire import load, wire_field

PATIENCE = "--request-timeout=5s"
"""A network policy that drops packets would hold up the user for half a minute."""


@dataclass(frozen=True, slots=True)
class RouterPod:
    """A pod of the router, as kubectl lists it."""

    name: str = field(metadata=wire_field("metadata", "name"))
    phase: str = field(metadata=wire_field("status", "phase"))


@dataclass(frozen=True, slots=True)
class RouterPods:
    """What kubectl lists."""

    items: tuple[RouterPod, ...] = ()


def list_router_pods(kubectl: Kubectl, namespace: str) -> list[str]:
    """Return the names of the router pods that run in a namespace.

    Raises:
        CliError: there is none, or they may not be listed.

    """
    selector = f"{LABEL_COMPONENT}={COMPONENT_ROUTER}"
    listed = kubectl.json("get", "pods", "-l", selector, namespace=namespace)
    pods = load(RouterPods, listed).items
    names = [pod.name for pod in pods if pod.phase == "Running"]
    if not names:
        raise CliError(f"no router pod is running in namespace {namespace}")
    return names


def read_counters(kubectl: Kubectl, namespace: str, pod: str) -> Counters:
    """Return what a router pod has counted.

    Raises:
        CliError: it may not or cannot be read, or is no page of counters.

    """
    printed = read_page(kubectl, namespace, pod, AGENT_PORT, PATH)
    try:
        return Counters.model_validate_json(printed)
    except ValidationError as error:
        raise CliError(f"router pod {pod} did not answer with counters") from error


def read_page(kubectl: Kubectl, namespace: str, pod: str, port: int, path: str) -> str:
    """Return a page of a pod.

    Raises:
        CliError: it may not or cannot be read.

    """
    proxied = f"/api/v1/namespaces/{namespace}/pods/http:{pod}:{port}/proxy{path}"
    return kubectl.run("get", "--raw", proxied, PATIENCE)
