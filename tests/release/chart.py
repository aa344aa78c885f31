"""The chart of a release: this clone's, with the digests of the release's images filled in."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.install.helm import CHART

CONFIG_TYPE = "application/vnd.cncf.helm.config.v1+json"
LAYER_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def fill_in(values: str, digests: Mapping[str, str], registry: str) -> str:
    """Return values.yaml with the release's images, where the bundle's `load` puts them.

    `digests` are those of `operator`, `envoy` and `optimizer`. Without a registry only the
    operator's digest is known to be right; the bundle's `load` prints the other two.

    Raises:
        ValueError: values.yaml has no such line any more.

    """
    filled = _replace(values, 'digest: ""', f'digest: "{digests["operator"]}"')
    if not registry:
        return filled

    filled = _replace(filled, 'repository: ""', f'repository: "{registry}/slipway/operator"')
    filled = _replace(
        filled, 'envoyImage: ""', f'envoyImage: "{registry}/slipway/envoy@{digests["envoy"]}"'
    )
    section, found, rest = filled.partition("\noptimizer:\n")
    if not found:
        raise ValueError("values.yaml has no section 'optimizer'")
    image = f'image: "{registry}/slipway/optimizer@{digests["optimizer"]}"'
    return section + found + _replace(rest, 'image: ""', image)


def package(target: Path, digests: Mapping[str, str], registry: str) -> bytes:
    """Write the chart as .tgz, the same bytes for the same files; returns its OCI configuration.

    Raises:
        ValueError: values.yaml has no such line any more.

    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(path for path in CHART.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path == CHART / "values.yaml":
                data = fill_in(data.decode(), digests, registry).encode()

            entry = tarfile.TarInfo(f"slipway/{path.relative_to(CHART)}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))

    target.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    described = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return json.dumps(described, sort_keys=True).encode()


def _replace(text: str, line: str, by: str) -> str:
    if line not in text:
        raise ValueError(f"values.yaml has no line {line!r}")
    return text.replace(line, by, 1)
