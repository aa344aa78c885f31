"""Names of images, parsed as container runtimes parse them."""

from dataclasses import dataclass

from slipway.errors import RegistryRefused

DOCKER_HUB = "docker.io"
DOCKER_HUB_ENDPOINT = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """The parts of an image's name."""

    host: str
    """Host, with the port if there is one."""
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """Digest or tag to ask the registry for; if there are both, the digest counts."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> ImageReference:
    """Return the parts of an image name; a name without a host is one of Docker Hub.

    Raises:
        RegistryRefused: the text is not an image name.

    """
    rest, _, digest = text.partition("@")

    # The first part is a host only if it cannot be a user of Docker Hub.
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
