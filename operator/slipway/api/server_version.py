"""Version of a Triton server, by the label of its image or by its tag."""

import re

Version = tuple[int, int]

OLDEST: Version = (2, 51)
"""Server 24.10, assumed where the version is unknown."""

LAST_GAPLESS_MONTHS = 9
"""25.07, counted from 24.10."""


def derive_server_version(label: str | None, base_image: str) -> str | None:
    """Return the server's version: the base image's label, else what its tag means.

    NVIDIA's tags are months. Minor versions follow them one by one, except for one month after
    25.07; a further gap would shift the result by one, which affects no flag in the table.
    """
    if parse_version(label) is not None:
        return label

    tag = re.search(r"/tritonserver:(\d\d)\.(\d\d)(?:-|$|@)", base_image)
    if tag is None:
        return None

    months = 12 * (int(tag[1]) - 24) + int(tag[2]) - 10
    minor = OLDEST[1] + months - (1 if months > LAST_GAPLESS_MONTHS else 0)
    return f"{OLDEST[0]}.{minor}.0"


def parse_version(text: str | None) -> Version | None:
    """Return major and minor of a server version; None where the text is no version."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.|$)", text or "")
    return (int(match[1]), int(match[2])) if match else None
