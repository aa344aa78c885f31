"""Programs of others, as images in the cluster's registry."""

from collections.abc import Iterable

from tests.cluster import clone, settings
from tests.cluster.build import Program, build_programs
from tests.cluster.image import image_of_binary, push_image
from tests.cluster.progress import Progress


def publish_programs(programs: Iterable[Program]) -> dict[str, str]:
    """Return an image of each by its name, built where the user's cache lacks the program."""
    registry = (clone.description(settings.CLONE) or {})["registry"]
    images: dict[str, str] = {}
    for program in programs:  # one after the other: they are built from the same packages
        build_programs((program,), Progress())
        image = image_of_binary(program.path)
        images[program.name] = push_image(image, registry, f"slipway/{program.name}")
    return images
