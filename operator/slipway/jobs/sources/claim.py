"""Sources ``pvc://<claim>/<path>``: a PersistentVolumeClaim, mounted read-only.

A directory is read in place, an archive is unpacked, and any other file is one model file. Links
are followed as long as they stay inside the claim, as those of a Hugging Face cache do.
"""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, TreeFile, make_tree, name_problem, walk_files
from slipway.jobs.http import Backoff
from slipway.jobs.placeholder import describe_placeholder
from slipway.jobs.sources import archive
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.telling_name import is_telling_name

FILESYSTEM_LEFTOVERS = frozenset({"lost+found"})
"""Directories that a file system makes at the top of a volume, readable for root only."""


def fetch_from_claim(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of a claim, which lie in the claim or below `scratch`.

    Raises:
        JobFailure: SourceNotFound or SourceRefused for the path; or the archive's own reasons.

    """
    del backoff  # a disk needs no second attempt
    request, mount = access.request, access.mounts.claim
    path = _locate_source(request, mount)

    if path.is_dir():
        skip = FILESYSTEM_LEFTOVERS if path == mount.resolve() else frozenset[str]()
        return make_tree(walk_files(path, skip=skip, links_inside=mount.resolve()))

    name = path.name if is_telling_name(path.name) else _name_in_address(request)
    problem = describe_placeholder(path, name)
    if problem is not None:
        raise JobFailure(Reason.SOURCE_REFUSED, f"source {request.uri}: {problem}")

    if archive.is_archive(name):
        files = archive.unpack_archive(
            path,
            name,
            archive.make_empty_directory(scratch / "tree"),
            archive.ArchiveLimits(request.max_bytes),
        )
        return make_tree(files, is_private=True)

    return make_tree([TreeFile(name, path)])


def _name_in_address(request: SourceRequest) -> str:
    """Return the name of a link, where that of what it leads to says nothing."""
    return PurePosixPath(unquote(urlsplit(request.uri).path)).name


def _locate_source(request: SourceRequest, mount: Path) -> Path:
    inside = unquote(urlsplit(request.uri).path).strip("/")
    problem = name_problem(inside) if inside else None
    if problem is not None:
        raise JobFailure(
            Reason.SOURCE_REFUSED, f"source {request.uri}: the path inside the claim {problem}"
        )

    path = (mount / PurePosixPath(inside)).resolve()
    # Before exists(): the answer must not reveal what lies outside the claim.
    if not path.is_relative_to(mount.resolve()):
        raise JobFailure(
            Reason.SOURCE_REFUSED, f"source {request.uri}: a link leads out of the claim"
        )

    if not path.exists():
        raise JobFailure(
            Reason.SOURCE_NOT_FOUND, f"source {request.uri}: no such file or directory in the claim"
        )
    if not (path.is_dir() or path.is_file()):
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {request.uri}: found a device, pipe or socket; expected a file or directory",
        )
    return path
