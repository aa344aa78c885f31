"""Undoing the compression that a server says it has put around a file.

Jobs ask for none, but stores hand out an object as it was uploaded, with the encoding that was
written down for it.
"""

import gzip
import re
import zlib
from dataclasses import replace
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.http import BLOCK_BYTES, without_secrets
from slipway.jobs.sources.download import Download

GZIP_MAGIC = b"\x1f\x8b"
GZIP = frozenset({"gzip", "x-gzip"})
UNKNOWN = frozenset({"br", "compress", "x-compress", "deflate", "zstd"})
"""Encodings that are not undone. Any other word, such as ``utf-8``, is a mistake of whoever
uploaded the file, and says nothing about its bytes."""


def decode_content(got: Download, name: str, max_bytes: int) -> Download:
    """Return the download as the file that was meant, under the name `name`.

    Digest and size stay those of what was transferred.

    Raises:
        JobFailure: SourceRefused for an encoding that is not undone, SourceTooLarge, or
            CorruptArchive.

    """
    encodings = re.split(r"[\s,]+", got.headers.get("Content-Encoding", "").lower())
    unknown = UNKNOWN.intersection(encodings)
    if unknown:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(got.url)}: found Content-Encoding {min(unknown)}, expected "
            "gzip or none",
        )

    target = got.path.with_name(name)
    if GZIP.intersection(encodings) and _is_gzip(got.path):
        plain = got.path.with_name(f".{name[:200]}.decoded")
        _decompress(got, plain, max_bytes)
        got.path.unlink()
        return replace(got, path=plain.rename(target))
    return replace(got, path=got.path.rename(target))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def _decompress(got: Download, into: Path, max_bytes: int) -> None:
    where = f"source {without_secrets(got.url)}"
    written = 0
    try:
        with gzip.open(got.path) as packed, into.open("wb") as file:
            while block := packed.read(BLOCK_BYTES):
                written += len(block)
                if written > max_bytes:
                    raise JobFailure(
                        Reason.SOURCE_TOO_LARGE,
                        f"{where}: decompresses to more than the allowed {max_bytes} bytes",
                    )
                file.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise JobFailure(
            Reason.CORRUPT_ARCHIVE, f"{where}: its Content-Encoding gzip is damaged: {error}"
        ) from error
