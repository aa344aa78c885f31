"""Writes every file that is generated from the types: ``python -m slipway.api.generate <root>``.

These are the CRDs, the chart's copy of them and its values.schema.json, docs/api.md and
docs/reasons.md.
"""

import os
import sys
from pathlib import Path

import yaml

from slipway import field_docs
from slipway.api.api_page import render_api_page
from slipway.api.chart import values_schema
from slipway.api.crd import CRD_SOURCES, custom_resource_definition
from slipway.api.names import DEPRECATED_VERSION, GROUP, VERSION
from slipway.api.reasons_page import render_reasons
from slipway.api.structural_schema import Schema

HEADER = "# Generated from the types by `make generate`; do not edit.\n"


def write_generated_files(root: Path) -> None:
    """Write all generated files below `root`, the top of the repository."""
    charts = root / "charts/slipway/templates/crds"
    for directory in (root / "crds", charts, root / "docs"):
        directory.mkdir(parents=True, exist_ok=True)

    for source in CRD_SOURCES:
        manifest = custom_resource_definition(source)
        name = f"{GROUP}_{source.plural}.yaml"
        (root / "crds" / name).write_text(HEADER + _dump_yaml(manifest))

        manifest["metadata"]["annotations"]["helm.sh/resource-policy"] = "keep"
        (charts / name).write_text(_chart_template(manifest))

    (root / "docs/api.md").write_text(render_api_page())
    (root / "docs/reasons.md").write_text(render_reasons())
    (root / "charts/slipway/values.schema.json").write_text(values_schema())


def _chart_template(manifest: Schema) -> str:
    """Return a CRD as the chart has it: what is stored is chosen when Helm renders it."""
    name = manifest["metadata"]["name"]
    for version in manifest["spec"]["versions"]:
        version["storage"] = f"stored-{version['name']}"
    text = HEADER + _dump_yaml(manifest).replace("{{", "{{ `{{` }}")

    for version in (VERSION, DEPRECATED_VERSION):
        chosen = f'storage: {{{{ eq $stored "{version}" }}}}'
        text = text.replace(f"storage: stored-{version}", chosen)
    include = f'include "slipway.storedVersion" (dict "crd" "{name}" "Values" .Values)'
    head = f"{{{{- if .Values.crds.install }}}}\n{{{{- $stored := {include} }}}}\n"
    return head + text + "{{- end }}\n"


class _PlainDumper(yaml.SafeDumper):
    """Repeats equal values instead of writing YAML anchors, which few people read."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _dump_yaml(manifest: Schema) -> str:
    return yaml.dump(manifest, Dumper=_PlainDumper, sort_keys=False, width=100, allow_unicode=True)


def main() -> None:
    """Write the files; start once more where the types were made without their descriptions."""
    if not field_docs.KEPT:
        again = [sys.executable, "-m", "slipway.api.generate", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, field_docs.VARIABLE: "yes"})  # noqa: S606
    write_generated_files(Path(sys.argv[1] if len(sys.argv) > 1 else "."))


if __name__ == "__main__":
    main()
