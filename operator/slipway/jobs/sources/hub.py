"""Sources ``hf://<owner>/<model>[@<revision>][/<path>]``: a model of the Hugging Face Hub.

The revision, a branch as a rule, is resolved to its commit first, and everything is fetched from
that commit: a branch that moves meanwhile mixes nothing.
"""

import logging
import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from slipway.api.reasons import Reason
from slipway.jobs.file_tree import Tree, TreeFile, make_tree, name_problem
from slipway.jobs.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    TRANSIENT_STATUS,
    USER_AGENT,
    Backoff,
    is_untrusted,
    make_tls_context,
)
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.archive import MAX_FILES, make_empty_directory
from slipway.jobs.sources.one_file import make_tree_of_file
from slipway.jobs.sources.progress import FolderProgress

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://huggingface.co"
ADDRESS = re.compile(r"hf://([^/]+)/([^/@:]+)(?:[@:]([^/]+))?(?:/(.*))?")
TOKEN = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "token")
GITS_OWN = frozenset({".gitattributes", ".gitignore"})
"""Files that git needs and no server does; a copy of the model elsewhere lacks them."""
AT_ONCE = 8
STREAMED_BYTES = 256 * 2**10
"""What is lost at most where a connection breaks; the library's own value is 10 MiB."""
UNAUTHORIZED, FORBIDDEN, SERVER_ERRORS = 401, 403, 500


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an address names."""

    repository: str
    """``owner/model``."""
    revision: str | None
    path: str
    """A file or folder of it; empty: all."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What lies there, at one commit."""

    commit: str
    files: dict[str, str | None]
    """Names, with the sha256 of those that the hub knows one of."""
    size: int
    """Bytes of all files."""


class _Interrupted(Exception):
    """Another attempt may help."""


def fetch_from_hub(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of a model, or of a folder of it, or one file.

    Raises:
        JobFailure: SourceNotFound, SourceRefused, SourceTooLarge; SourceUnavailable, which is
            transient; or the archive's own reasons.

    """
    wanted = _parse_address(access)
    folder = make_empty_directory(scratch / "download")
    with _own_client(access, scratch):
        found = _with_patience(access, backoff, lambda: _resolve(access, wanted))
        log.info("found commit %s with %d files", found.commit, len(found.files))
        FolderProgress(found.size, folder)
        _with_patience(access, backoff, lambda: _download(access, wanted, found, folder))

    origin = f"hf://{wanted.repository}@{found.commit}"
    if wanted.path:
        origin = f"{origin}/{quote(wanted.path)}"
    if list(found.files) == [wanted.path]:
        name = wanted.path.rpartition("/")[2]
        return make_tree_of_file(access, folder / wanted.path, name, scratch, origin=origin)

    skip = len(wanted.path) + 1 if wanted.path else 0
    files = [TreeFile(name[skip:], folder / name, sha256) for name, sha256 in found.files.items()]
    return make_tree(files, origin=origin, is_private=True)


def _parse_address(access: SourceAccess) -> _Wanted:
    match = ADDRESS.fullmatch(access.request.uri)
    if match is None:
        raise access.failure(
            Reason.SOURCE_REFUSED, "expected hf://<owner>/<model>[@<revision>][/<path>]"
        )
    owner, model, revision, path = match.groups()
    return _Wanted(
        f"{owner}/{model}", unquote(revision) if revision else None, unquote(path or "").strip("/")
    )


@contextmanager
def _own_client(access: SourceAccess, scratch: Path) -> Iterator[None]:
    """Let the library use our authorities, our proxy and our patience, and write below scratch.

    Xet, its own protocol for chunks, knows none of these, so files come over plain HTTPS.
    """
    os.environ.setdefault("HF_HOME", str(scratch / "hub"))  # read when the library is imported
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import httpx2  # noqa: PLC0415 - they take time and memory that only this source has
    import huggingface_hub as hub  # noqa: PLC0415
    from huggingface_hub import constants  # noqa: PLC0415

    context, proxy = make_tls_context(access.ca_file()), access.proxy

    def make_client() -> httpx2.Client:
        return httpx2.Client(
            verify=context,
            proxy=proxy.url if proxy is not None and proxy.fits(_endpoint(access)) else None,
            trust_env=False,
            follow_redirects=True,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            headers={"User-Agent": USER_AGENT},
        )

    constants.DOWNLOAD_CHUNK_SIZE = STREAMED_BYTES
    hub.set_client_factory(make_client)
    try:
        yield
    finally:
        hub.close_session()


def _endpoint(access: SourceAccess) -> str:
    """Return the address of the hub, which is one with TLS unless plain HTTP is allowed."""
    endpoint = access.asked.endpoint or DEFAULT_ENDPOINT
    if endpoint.startswith("http://") and not access.request.allow_plain_http:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"found an endpoint with http and no digest; expected https or {access.field}.digest",
        )
    return endpoint.rstrip("/")


def _token(access: SourceAccess) -> str | bool:
    """Return the token; False: send none, whatever lies around."""
    return access.require(TOKEN) if access.asked.secret is not None else False


def _resolve(access: SourceAccess, wanted: _Wanted) -> _Found:
    import huggingface_hub as hub  # noqa: PLC0415 - as above

    api = hub.HfApi(endpoint=_endpoint(access), token=_token(access))
    with _explained(access, wanted):
        info = api.model_info(
            wanted.repository, revision=wanted.revision, files_metadata=True, timeout=READ_SECONDS
        )

    siblings = {item.rfilename: item for item in info.siblings or []}
    inside = f"{wanted.path}/" if wanted.path else ""
    names = [wanted.path] if wanted.path in siblings else sorted(siblings)
    chosen = [name for name in names if name == wanted.path or name.startswith(inside)]
    chosen = [name for name in chosen if name.rpartition("/")[2] not in GITS_OWN]
    _require_sane(access, wanted, [(name, siblings[name].size or 0) for name in chosen])
    digests: dict[str, str | None] = {}
    for name in chosen:
        lfs = siblings[name].lfs
        digests[name] = lfs.sha256 if lfs is not None else None
    return _Found(str(info.sha), digests, sum(siblings[name].size or 0 for name in chosen))


def _require_sane(access: SourceAccess, wanted: _Wanted, files: list[tuple[str, int]]) -> None:
    if not files:
        where = f"{wanted.path} in " if wanted.path else "files in "
        raise access.failure(
            Reason.SOURCE_NOT_FOUND, f"there is no {where}model {wanted.repository}"
        )
    for name, _ in files:
        problem = name_problem(name)
        if problem is not None:
            raise access.failure(Reason.SOURCE_REFUSED, f"the file name {name!r} {problem}")

    total, most = sum(size for _, size in files), access.request.max_bytes
    if len(files) > MAX_FILES or total > most:
        raise access.failure(
            Reason.SOURCE_TOO_LARGE,
            f"found {len(files)} files of {total} bytes, expected at most {MAX_FILES} of {most}",
        )


def _download(access: SourceAccess, wanted: _Wanted, found: _Found, folder: Path) -> None:
    """Fetch all files; what a broken attempt left is continued."""
    import huggingface_hub as hub  # noqa: PLC0415 - as above

    with _explained(access, wanted):
        hub.snapshot_download(
            wanted.repository,
            revision=found.commit,
            local_dir=folder,
            allow_patterns=[_escape(name) for name in found.files],
            endpoint=_endpoint(access),
            token=_token(access),
            max_workers=AT_ONCE,
        )
    missing = [name for name in found.files if not (folder / name).is_file()]
    if missing:
        raise _Interrupted(f"{missing[0]} did not come")


def _escape(name: str) -> str:
    """Return a pattern that fits this name only."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _with_patience(access: SourceAccess, backoff: Backoff, attempt: Any) -> Any:
    failures = 0
    while True:
        try:
            return attempt()
        except _Interrupted as problem:
            failures += 1
            if failures >= backoff.attempts:
                raise access.failure(
                    Reason.SOURCE_UNAVAILABLE,
                    f"{problem}, {failures} times in a row",
                    transient=True,
                ) from problem
            backoff.wait(failures)


@contextmanager
def _explained(access: SourceAccess, wanted: _Wanted) -> Iterator[None]:
    """Translate the library's errors into those of Jobs."""
    import httpx2  # noqa: PLC0415 - as above
    from huggingface_hub import errors  # noqa: PLC0415

    who = access.credentials
    model = f"model {wanted.repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"{model} is gated, and {who} may not read it: accept its terms at "
            f"{_endpoint(access)}/{wanted.repository} with the account of the token",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise access.failure(
            Reason.SOURCE_NOT_FOUND, f"{model} has no revision {wanted.revision!r}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise access.failure(
            Reason.SOURCE_NOT_FOUND, f"there is no {model}, or {who} may not see it"
        ) from error
    except errors.HfHubHTTPError as error:
        raise _http_problem(access, model, error) from error
    except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
        if is_untrusted(error) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise access.failure(
                Reason.SOURCE_REFUSED,
                "the hub's certificate is not trusted: set "
                f"{access.field}.connection.caConfigMapRef, if a private authority signed it",
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the hub
        raise _Interrupted(f"incomplete answer ({type(error).__name__})") from error


def _http_problem(access: SourceAccess, model: str, error: Any) -> Exception:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status is None or status in TRANSIENT_STATUS or status >= SERVER_ERRORS:
        return _Interrupted(f"found status {status}")
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return access.failure(
            Reason.SOURCE_REFUSED,
            f"{model}: the hub does not let in {access.credentials} (status {status})",
        )
    return access.failure(Reason.SOURCE_REFUSED, f"{model}: found status {status}, expected 200")
