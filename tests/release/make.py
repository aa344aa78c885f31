"""The steps of a release, in their order."""

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from slipway import __version__
from slipway.bundle.main import CHART
from slipway.jobs.registry.media_types import OCI_INDEX

from tests.cluster.progress import Progress, say
from tests.images import build
from tests.images.catalogue import RELEASED
from tests.install.helm import ROOT
from tests.release import bundle, chart, plugin, provenance, sbom
from tests.release.krew import krew_manifest
from tests.release.layout import Layout

CRDS = "slipway-crds.yaml"


@dataclass(frozen=True, slots=True)
class Order:
    """What kind of release is wanted."""

    directory: Path
    registry: str
    """Prefix under which images will be published; empty where that is not known."""
    platforms: tuple[str, ...]
    key: Path | None
    """Private key that signs the checksums."""
    downloads: str
    """Address under which the files will lie."""
    builder: str


def make(order: Order) -> None:
    """Write a release into its directory, which is emptied first.

    Raises:
        ClusterError: files of the clone are changed, or a step failed.
        ValueError: the chart's values have changed their form.

    """
    revision, made = provenance.commit()
    shutil.rmtree(order.directory, ignore_errors=True)
    order.directory.mkdir(parents=True)

    layout = Layout(order.directory / "oci")
    images = _write_images(order, layout, made)
    _write_chart(order, layout, images)
    _write_programs(order)

    # The bundle has all of the above, so the statement on it and the sums come after it.
    files = sorted(path for path in order.directory.iterdir() if path.is_file())
    written = order.directory / f"slipway-bundle-{__version__}"
    with Progress().step(f"writing {written.name}"):
        bundle.write(written, layout.directory, files)
    stated = provenance.statement([*files, written], images, order.builder)
    (order.directory / "provenance.json").write_text(stated)
    provenance.write_sums(order.directory, order.key)

    say(f"release {__version__} of commit {revision[:12]} is in {order.directory}")
    if order.key is None:
        say("SHA256SUMS is not signed: SIGN_WITH=<private key> signs it")


def _write_images(order: Order, layout: Layout, made: datetime) -> dict[str, str]:
    """Put the images into the layout, and their SBOMs beside it; returns digests by name."""
    shop = build.workshop()
    images = {}
    for image in RELEASED:
        with tempfile.TemporaryDirectory(dir=order.directory) as scratch:
            alone = Path(scratch) / "oci"
            shop.export(image, alone, order.platforms)
            entry = layout.adopt(alone, f"{image.repository}:{__version__}")

        images[image.name] = entry["digest"]
        for platform, digest in _manifests(layout, entry["digest"]).items():
            written = order.directory / f"{image.name}{platform}.cdx.json"
            written.write_text(sbom.describe(layout, image.name, __version__, digest, made))
    return images


def _write_chart(order: Order, layout: Layout, images: dict[str, str]) -> None:
    """Put the chart into the layout and beside it, and the CRDs as one file."""
    packaged = order.directory / f"slipway-{__version__}.tgz"
    config = chart.package(packaged, images, order.registry)
    name = f"{CHART}:{__version__}"
    layout.add(config, chart.CONFIG_TYPE, packaged, chart.LAYER_TYPE, name)
    layout.finish()

    crds = sorted((ROOT / "crds").glob("*.yaml"))
    (order.directory / CRDS).write_text("---\n".join(path.read_text() for path in crds))


def _write_programs(order: Order) -> None:
    """Pack kubectl-slipway for each platform, and describe it for krew."""
    programs = {name: order.directory / f"kubectl-slipway-{name}" for name in plugin.PLATFORMS}
    with tempfile.TemporaryDirectory() as scratch:
        for platform, path in programs.items():
            with Progress().step(f"packing kubectl-slipway for {platform}"):
                plugin.pack(platform, path, Path(scratch))
    manifest = krew_manifest(programs, order.downloads)
    (order.directory / "slipway.krew.yaml").write_text(manifest)


def _manifests(layout: Layout, digest: str) -> dict[str, str]:
    """Return the digests of an image's manifests, by ``-os-arch``; one alone has no such name."""
    found = layout.json(digest)
    if found.get("mediaType") != OCI_INDEX:
        return {"": digest}
    return {
        f"-{entry['platform']['os']}-{entry['platform']['architecture']}": entry["digest"]
        for entry in found["manifests"]
    }
