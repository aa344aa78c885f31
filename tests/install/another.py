"""An image that is another one and does the same: what an upgrade looks like from outside."""

import json
import urllib.request

from tests.install.helm import InstallError

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
TAG = "another"


def another_image(image: str) -> str:
    """Push the image's manifest once more, with an annotation; return the new name by digest.

    Raises:
        InstallError: the registry does not take it.

    """
    host, _, path = image.partition("/")
    repository, _, digest = path.partition("@")
    at = f"http://{host}/v2/{repository}/manifests"

    try:
        read = urllib.request.Request(f"{at}/{digest}", headers={"Accept": MANIFESTS})  # noqa: S310
        with urllib.request.urlopen(read, timeout=30) as answer:  # noqa: S310
            media_type, manifest = answer.headers["Content-Type"], json.loads(answer.read())
        manifest["annotations"] = {**manifest.get("annotations", {}), "slipway.dev/build": TAG}
        write = urllib.request.Request(  # noqa: S310
            f"{at}/{TAG}",
            data=json.dumps(manifest).encode(),
            headers={"Content-Type": media_type},
            method="PUT",
        )
        with urllib.request.urlopen(write, timeout=30) as answer:  # noqa: S310
            new: str = answer.headers["Docker-Content-Digest"]
    except (OSError, KeyError) as error:
        raise InstallError(f"no second image of {image}: {error}") from error
    return f"{host}/{repository}@{new}"
