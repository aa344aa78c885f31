"""What a registry holds already."""

import http.client
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
