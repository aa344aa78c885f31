"""The release on the test cluster: the chart with the images that `make images` built."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.install import helm
from tests.install.helm import InstallError, Values
from tests.kubectl import CLUSTER, Kubectl, KubectlError, restricted_namespace

KUBECONFIG = CLUSTER / "kubeconfig"
IMAGES = CLUSTER / "images.json"
DESCRIPTION = CLUSTER / "cluster.json"
READY_WITHIN = "3m"


@dataclass(frozen=True, slots=True)
class Images:
    """Images by digest, as pods name them."""

    operator: str
    envoy: str
    triton: str
    prometheus: str = ""
    """For the end-to-end tests."""
    optimizer: str = ""


def up(extra: Values | None = None) -> str:
    """Install or upgrade the release, wait until it is ready, and return Helm's words.

    `extra` values win over those of the test cluster, top-level key by top-level key.

    Raises:
        InstallError: no images were built, no cluster answers, or the release did not get ready.

    """
    try:
        Kubectl().apply_server_side(restricted_namespace(helm.NAMESPACE))
    except KubectlError as error:
        raise InstallError(str(error)) from error
    values = {**cluster_values(images(), registry()), **(extra or {})}
    # tests may have applied the CRDs before
    return upgrade(values, "--take-ownership", "--force-conflicts")


def upgrade(
    values: Values, *words: str, chart: Path = helm.CHART, timeout: str = READY_WITHIN
) -> str:
    """Install or upgrade the release from a chart, wait until it is ready, return Helm's words.

    `words` are more of Helm's arguments; `timeout` is as Helm writes it.

    Raises:
        InstallError: the release did not get ready; with what its pods said.

    """
    try:
        return helm.run(
            *("upgrade", "--install", helm.RELEASE, str(chart)),
            *("--namespace", helm.NAMESPACE, "--wait", "--timeout", timeout, *words),
            values=values,
            kubeconfig=KUBECONFIG,
        )
    except InstallError as error:
        raise InstallError("\n".join([str(error), *last_words()])) from error


def last_words() -> Iterator[str]:
    """Say of each operator container that ended why it did."""
    for pod in Kubectl().items(helm.NAMESPACE, "pods", f"app.kubernetes.io/name={helm.RELEASE}"):
        for container in pod["status"].get("containerStatuses", ()):
            ended = container["lastState"].get("terminated") or container["state"].get("terminated")
            if ended is not None:
                code, message = ended["exitCode"], ended.get("message", "").strip()
                yield f"{pod['metadata']['name']} ended with exit code {code}: {message}"


def down() -> str:
    """Uninstall the release; CRDs, ModelDeployments and all that serves stay."""
    return helm.run(
        *("uninstall", helm.RELEASE, "--namespace", helm.NAMESPACE, "--wait", "--ignore-not-found"),
        kubeconfig=KUBECONFIG,
    )


def cluster_values(images: Images, registry: str | None) -> dict[str, Any]:
    """Return the values of the test cluster: its registry, and models by plain HTTP."""
    repository, _, digest = images.operator.partition("@")
    values: dict[str, Any] = {
        "image": {"repository": repository, "digest": digest},
        # pinned, so that routers of an earlier build get the agent that is tested
        "router": {"envoyImage": images.envoy, "agentImage": images.operator},
        "server": {"image": images.triton},
        "sources": {"allowPlainHTTP": True},
        "optimizer": {"image": images.optimizer},
        "gateway": {"enabled": True},
    }
    if registry is not None:
        values["registry"] = {"prefix": f"{registry}/models"}
        values["registries"] = [{"host": registry, "plainHTTP": True, "anonymous": True}]
    return values


def images() -> Images:
    """Return what `make images` pushed.

    Raises:
        InstallError: nothing was built.

    """
    try:
        built = json.loads(IMAGES.read_text())
    except FileNotFoundError:
        raise InstallError(f"{_name(IMAGES)} is missing: run 'make images'") from None
    return Images(
        **{name: built[name] for name in ("operator", "envoy", "triton")},
        prometheus=built.get("prometheus", ""),
        optimizer=built.get("optimizer", ""),
    )


def registry() -> str | None:
    """Return the registry of the cluster, None where it has none of its own.

    Raises:
        InstallError: this clone has no cluster.

    """
    try:
        name: str | None = json.loads(DESCRIPTION.read_text())["registry"]
    except FileNotFoundError:
        raise InstallError(f"{_name(DESCRIPTION)} is missing: run 'make cluster'") from None
    return name


def _name(path: Path) -> str:
    return str(path.relative_to(helm.ROOT))
