"""What a registry holds already."""

import http.client
import json
from http import HTTPStatus

from tests.cluster.errors import ClusterError
from tests.images.catalogue import Image

_TIMEOUT_SECONDS = 10
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


def digest_of_tag(registry: str, image: Image, tag: str) -> str | None:
    """Return the digest that the tag stands for, or None where the registry lacks it.

    Raises:
        ClusterError: the registry does not answer, or not as one.

    """
    path = f"/v2/{image.repository}/manifests/{tag}"
    connection = http.client.HTTPConnection(registry, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("HEAD", path, headers={"Accept": ", ".join(_MANIFESTS)})
        answer = connection.getresponse()
    except OSError as error:
        raise ClusterError(f"the registry {registry} does not answer: {error}") from error
    finally:
        connection.close()

    if answer.status == HTTPStatus.NOT_FOUND:
        return None

    digest = answer.headers["Docker-Content-Digest"]
    if answer.status != HTTPStatus.OK or not digest:
        raise ClusterError(f"http://{registry}{path}: expected a digest, found {answer.status}")
    return str(digest)


def under_another_digest(image: str) -> str:
    """Push the same image again with one annotation more, and return its name.

    Raises:
        ClusterError: the registry does not answer, or not as one.

    """
    place, _, digest = image.partition("@")
    registry, _, repository = place.partition("/")
    connection = http.client.HTTPConnection(registry, timeout=_TIMEOUT_SECONDS)
    path = f"/v2/{repository}/manifests"
    try:
        connection.request("GET", f"{path}/{digest}", headers={"Accept": ", ".join(_MANIFESTS)})
        answer = connection.getresponse()
        kind, manifest = answer.headers["Content-Type"], json.loads(answer.read())
        manifest["annotations"] = {**manifest.get("annotations", {}), "slipway.dev/copy": "1"}

        body = json.dumps(manifest)
        headers = {"Content-Type": kind}
        connection.request("PUT", f"{path}/another", body=body, headers=headers)
        pushed = connection.getresponse()
        pushed.read()
    except OSError as error:
        raise ClusterError(f"the registry {registry} does not answer: {error}") from error
    finally:
        connection.close()

    if pushed.status != HTTPStatus.CREATED:
        raise ClusterError(f"http://{registry}{path}: expected 201, found {pushed.status}")
    return f"{place}@{pushed.headers['Docker-Content-Digest']}"
