"""Names of images, as container runtimes read them."""

from dataclasses import dataclass

from slipway.errors import RegistryRefused

DOCKER_HUB = "docker.io"
DOCKER_HUB_ENDPOINT = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image's name in its parts."""

    host: str
    """With the port where one is given."""
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """What to ask the registry for: the digest counts more than a tag beside it."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> ImageReference:
    """Read an image name; a name without a host is Docker Hub's.

    Raises:
        RegistryRefused: it is no image name.

    """
    rest, _, digest = text.partition("@")
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, path = first, remainder
    else:
        host, path = DOCKER_HUB, rest
    repository, _, tag = path.partition(":")
    if host == DOCKER_HUB and repository and "/" not in repository:
        repository = f"library/{repository}"
    if not repository or repository != repository.lower() or any(map(str.isspace, text)):
        raise RegistryRefused(
            f"image {text!r}: expected [host[:port]/]path[:tag][@digest] in lower case"
        )
    return ImageReference(host, repository, tag or None, digest or None)
