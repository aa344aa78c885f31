"""manifests/base: what the chart renders, split into files that kustomize can patch.

The settings become a file of their own, so that an overlay can replace it, and kustomize's hash in
the ConfigMap's name restarts the operator where the chart has an annotation for that.
"""

import re
from pathlib import Path

import yaml
from slipway.api.base import Manifest

from tests.install import helm

BASE = helm.ROOT / "manifests/base"
SETTINGS = "settings.yaml"

VALUES = {
    "image": {"repository": "slipway-operator"},
    "router": {"envoyImage": "slipway-envoy"},
}
"""Names without a registry: an overlay says where the images are."""

HELM_ONLY = re.compile(
    r"^ *(app\.kubernetes\.io/managed-by|helm\.sh/chart|helm\.sh/resource-policy"
    r"|checksum/settings):.*\n",
    re.MULTILINE,
)
HEADER = "# Generated from the chart by `make manifests`; do not edit.\n"


def render() -> dict[str, str]:
    """Return the text of every generated file by its name."""
    sources = _by_source(helm.template(VALUES))
    config_map = yaml.safe_load(sources.pop(SETTINGS))
    files = {name: HEADER + HELM_ONLY.sub("", text) for name, text in sorted(sources.items())}
    settings = config_map["data"]["settings.yaml"]
    return {**files, SETTINGS: HEADER + settings}


def write(directory: Path = BASE) -> None:
    """Write the generated files; kustomization.yaml and namespace.yaml are written by hand."""
    for name, text in render().items():
        (directory / name).write_text(text)


def neutral(manifest: Manifest) -> Manifest:
    """Return an object without the marks that only Helm or only kustomize makes."""
    text = yaml.safe_dump(manifest, width=10_000)
    text = HELM_ONLY.sub("", re.sub(r"(slipway-settings)-[a-z0-9]{10}\b", r"\1", text))
    plain: Manifest = yaml.safe_load(text)
    if not plain["metadata"].get("annotations"):
        plain["metadata"].pop("annotations", None)
    if plain["kind"] == "ConfigMap":
        plain["data"] = {name: yaml.safe_load(text) for name, text in plain["data"].items()}
    return plain


def _by_source(rendered: str) -> dict[str, str]:
    """Return the rendered text by template, without CRDs, which crds/ has, and Helm's tests."""
    sources: dict[str, str] = {}
    for part in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        found = re.match(r"# Source: slipway/templates/(.+)\n", part)
        if found is None or found[1].startswith(("crds/", "tests/")):
            continue
        text = part[found.end() :].strip() + "\n"
        name = found[1]
        sources[name] = f"{sources[name]}---\n{text}" if name in sources else text
    return sources
