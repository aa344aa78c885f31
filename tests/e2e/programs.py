"""Programs of others: images in the cluster's registry, and what is left of them at the end."""

import json
from collections.abc import Iterable

from tests.cluster import clone, settings
from tests.cluster.build import Program, build_programs
from tests.cluster.image import image_of_binary, push_image
from tests.cluster.progress import Progress
from tests.kubectl import Kubectl, Manifest, until

SERVED_SECONDS = 60.0


def publish_programs(programs: Iterable[Program]) -> dict[str, str]:
    """Return an image of each by its name, built where the user's cache lacks the program."""
    registry = (clone.description(settings.CLONE) or {})["registry"]
    images: dict[str, str] = {}
    for program in programs:  # one after the other: they are built from the same packages
        build_programs((program,), Progress())
        image = image_of_binary(program.path)
        images[program.name] = push_image(image, registry, f"slipway/{program.name}")
    return images


def install_kinds(kubectl: Kubectl, crds: Iterable[Manifest]) -> None:
    """Install CRDs, and wait until they are served."""
    applied = list(crds)
    kubectl.apply_server_side(*applied)
    names = [item["metadata"]["name"] for item in applied]

    def are_served() -> bool:
        found = json.loads(kubectl.run("get", "crds", *names, "-o", "json"))["items"]
        return all(_is_established(item) for item in found)

    until(are_served, f"{', '.join(names)} served", SERVED_SECONDS)


def _is_established(crd: Manifest) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()  # null at first
    return ("Established", "True") in {(each["type"], each["status"]) for each in conditions}


def remove_kinds(kubectl: Kubectl, group: str) -> None:
    """Remove the CRDs of an API group and of those below it, with all objects of theirs."""
    listed = json.loads(kubectl.run("get", "crds", "-o", "json"))["items"]
    groups = {item["metadata"]["name"]: item["spec"]["group"] for item in listed}
    crds = [name for name, its in groups.items() if f".{its}".endswith(f".{group}")]
    if crds:
        kubectl.run("delete", "crds", *crds, seconds=120)
