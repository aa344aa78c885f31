"""A release with images of a few bytes, and the bundle that carries it."""

import gzip
import io
import json
import tarfile
from pathlib import Path

from tests.release import bundle
from tests.release.layout import Layout

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
NAMES = ("slipway/operator", "slipway/envoy", "charts/slipway")
PROGRAM = "kubectl-slipway-linux-amd64"


def write_layer(path: Path, files: dict[str, str]) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return path


def write_layout(directory: Path, names: tuple[str, ...] = NAMES) -> Layout:
    layout = Layout(directory / "oci")
    for name in names:
        layer = write_layer(directory / "layer", {"name": name})
        config = json.dumps({"image": name}).encode()
        layout.add(config, CONFIG_TYPE, layer, LAYER_TYPE, f"{name}:0.1.0")
    layout.finish()
    return layout


def write_bundle(directory: Path, names: tuple[str, ...] = NAMES) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    layout = write_layout(directory, names)
    program = directory / PROGRAM
    program.write_text("#!/usr/bin/env python3\n")
    program.chmod(0o755)
    written = directory / "slipway-bundle"
    bundle.write(written, layout.directory, [program])
    return written
