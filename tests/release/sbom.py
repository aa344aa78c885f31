"""What is in an image, as CycloneDX: Debian's packages and Python's, read from its layers."""

import email
import tarfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.release.layout import Layout

DPKG_STATUS = "var/lib/dpkg/status"
PYTHON_METADATA = ".dist-info/METADATA"


def describe(layout: Layout, name: str, version: str, digest: str, made: datetime) -> str:
    """Return the CycloneDX document of an image of the layout; the same image gives one text.

    `made` is the time of the commit, so that nothing depends on when this runs.
    """
    image = Component(
        name=f"slipway/{name}",
        version=version,
        type=ComponentType.CONTAINER,
        bom_ref=digest,
        purl=PackageURL("oci", name=name, version=digest),
    )
    found = components(layout, digest)
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, digest),
        metadata=BomMetaData(component=image, timestamp=made.astimezone(UTC)),
        components=found,
    )
    bom.register_dependency(image, found)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def components(layout: Layout, digest: str) -> list[Component]:
    """Return the packages of an image; where layers change one, the last layer's counts."""
    debian: dict[str, Component] = {}
    python: dict[str, Component] = {}
    for layer in layout.json(digest)["layers"]:
        with tarfile.open(layout.path(layer)) as archive:
            for entry in archive:
                name = entry.name.removeprefix("./")
                content = archive.extractfile(entry) if entry.isfile() else None
                if content is None:
                    continue
                if name == DPKG_STATUS:
                    debian = dict(_debian(content.read().decode()))
                elif name.endswith(PYTHON_METADATA):
                    python[name] = _python(content.read().decode())

    found = [*debian.values(), *python.values()]
    return sorted(found, key=lambda part: part.bom_ref.value or "")


def _debian(status: str) -> Iterator[tuple[str, Component]]:
    for paragraph in status.strip().split("\n\n"):
        fields = email.message_from_string(paragraph)
        if fields["Status"] != "install ok installed":
            continue
        name, version = fields["Package"], fields["Version"]
        purl = PackageURL(
            "deb", "debian", name, version, qualifiers={"arch": fields["Architecture"]}
        )
        yield name, _component(name, version, purl)


def _python(metadata: str) -> Component:
    fields = email.message_from_string(metadata)
    name, version = fields["Name"], fields["Version"]
    return _component(name, version, PackageURL("pypi", name=name.lower(), version=version))


def _component(name: str, version: str, purl: PackageURL) -> Component:
    return Component(name=name, version=version, purl=purl, bom_ref=purl.to_string())
