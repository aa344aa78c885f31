"""One downloaded file: an archive that is unpacked, or a model file."""

from pathlib import Path

from slipway.api.reasons import Reason
from slipway.jobs.file_tree import Tree, TreeFile, make_tree
from slipway.jobs.placeholder import describe_placeholder
from slipway.jobs.sources import archive
from slipway.jobs.sources.access import SourceAccess


def make_tree_of_file(
    access: SourceAccess,
    path: Path,
    name: str,
    scratch: Path,
    digest: str | None = None,
    *,
    origin: str | None = None,
) -> Tree:
    """Return the files of a download, unpacked if its name is that of an archive.

    Args:
        access: the source.
        path: where the download lies; an archive is deleted.
        name: its name at the source, whose suffix says what it is.
        scratch: a writable directory.
        digest: ``sha256:…`` of the download, if it is known.
        origin: address at which the same bytes are found for ever, if there is one.

    Raises:
        JobFailure: SourceRefused for something else than a model; or the archive's own reasons.

    """
    problem = describe_placeholder(path, name)
    if problem is not None:
        raise access.failure(Reason.SOURCE_REFUSED, problem)
    if not archive.is_archive(name):
        return make_tree([TreeFile(name, path)], digest, origin=origin, is_private=True)

    into = archive.make_empty_directory(scratch / "tree")
    limits = archive.ArchiveLimits(access.request.max_bytes)
    files = archive.unpack_archive(path, name, into, limits)
    path.unlink()  # models are large, and this one now takes its space twice
    return make_tree(files, digest, origin=origin, is_private=True)
