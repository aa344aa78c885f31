"""Sources ``https://`` and ``http://``: an archive, or one model file."""

from base64 import b64encode
from contextlib import ExitStack
from email.message import Message
from email.utils import collapse_rfc2231_value
from pathlib import Path
from urllib.parse import unquote, urlsplit

from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, make_tree, name_problem
from slipway.jobs.http import Backoff, open_pool, without_secrets
from slipway.jobs.sources import archive
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.content_encoding import decode_content
from slipway.jobs.sources.download import OpenDownload, Visitor, open_download
from slipway.jobs.sources.one_file import make_tree_of_file
from slipway.jobs.sources.streaming import can_stream, make_streamed_file
from slipway.jobs.sources.telling_name import is_telling_name

TOKEN = ("token", "bearerToken", "accessToken", "HF_TOKEN")
USER = ("username", "user")
PASSWORD = ("password",)


def fetch_from_web(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of a download, unpacked if its name is that of an archive.

    Raises:
        JobFailure: the reasons of `open_download` and `unpack_archive`, or SourceRefused.

    """
    request = access.request
    name = _name_in_address(request)
    _require_trust(request)
    visitor = Visitor(_authorization(access), access.credentials, access.advice)

    with ExitStack() as closing:
        pool = closing.enter_context(open_pool(access.ca_file(), access.proxy))
        answer = open_download(
            pool, request.uri, max_bytes=request.max_bytes, backoff=backoff, visitor=visitor
        )
        folder = archive.make_empty_directory(scratch / "download")
        better = _name_given_by_server(name, answer)
        if access.may_stream and _can_stream(answer, better or name):
            closing.pop_all()  # the file is read later, through the same pool
            return _stream(answer, better or name, folder)
        got = answer.save(folder / name)

    name = _name_given_by_server(name, answer) or name
    got = decode_content(got, name, request.max_bytes)
    return make_tree_of_file(access, got.path, name, scratch, got.digest)


def _can_stream(answer: OpenDownload, name: str) -> bool:
    is_plain = answer.size is not None and "Content-Encoding" not in answer.headers
    return is_plain and not archive.is_archive(name) and can_stream(name, answer.size or 0)


def _stream(answer: OpenDownload, name: str, folder: Path) -> Tree:
    """Return the one file, which is read while it is packed."""
    file = make_streamed_file(name, folder / name, answer.size or 0, answer.stream)
    etag = answer.headers.get("ETag")
    version = f"{answer.size} {etag}" if etag and not etag.startswith("W/") else None
    return make_tree([file], is_private=True, version=version)


def _authorization(access: SourceAccess) -> str | None:
    """Return the value of an Authorization header from the Secret; None without a Secret.

    Raises:
        JobFailure: SourceRefused, where the Secret has neither a token nor a user, or the address
            is not one of HTTPS.

    """
    if access.asked.secret is None:
        return None
    if not access.request.uri.startswith("https://"):
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"found http, expected https: Secret {access.asked.secret} must not be sent openly",
        )

    token = access.find(TOKEN)
    if token is not None:
        return f"Bearer {token}"
    if access.find(USER) is None:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"Secret {access.asked.secret} has neither {TOKEN[0]} nor {USER[0]} and {PASSWORD[0]}",
        )
    pair = f"{access.require(USER)}:{access.require(PASSWORD)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _name_given_by_server(name: str, got: OpenDownload) -> str | None:
    """Return a better name than one that says nothing, as in ``…/download?id=7``; None without.

    A name that says what the file is stays, because it is part of the model's digest.
    """
    if is_telling_name(name):
        return None

    disposition = got.headers.get("Content-Disposition", "")
    for given in (*_disposition_names(disposition), _last_segment(got.url)):
        bare = given.replace("\\", "/").rpartition("/")[2]
        if is_telling_name(bare) and name_problem(bare) is None:
            return bare
    return None


def _disposition_names(disposition: str) -> list[str]:
    """Return the file names of a Content-Disposition, those with a character set first."""
    header = Message()
    header["Content-Disposition"] = disposition
    parameters = header.get_params([], "Content-Disposition")
    names = [value for key, value in parameters if key.lower() == "filename"]
    names.sort(key=lambda value: isinstance(value, str))
    return [collapse_rfc2231_value(value) for value in names]


def _last_segment(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _name_in_address(request: SourceRequest) -> str:
    parts = urlsplit(request.uri)
    if parts.username is not None or parts.password is not None:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: found a user name in the address, where "
            "everyone can read it; expected none",
        )

    # Some stores take the slashes of an object's name only as %2F.
    name = _last_segment(request.uri)
    if not name:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: found an address that ends in '/', expected "
            "that of an archive or a model file",
        )

    problem = name_problem(name)
    if problem is not None:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: the file name {name!r} {problem}",
        )
    return name


def _require_trust(request: SourceRequest) -> None:
    """Require TLS or a pinned digest: without both, anyone on the way can change the bytes."""
    plain = urlsplit(request.uri).scheme == "http"
    if plain and request.digest is None and not request.allow_plain_http:
        raise JobFailure(
            Reason.SOURCE_REFUSED,
            f"source {without_secrets(request.uri)}: found http without a digest; expected https, "
            "spec.model.source.digest, or the operator's setting sources.allowPlainHTTP",
        )
