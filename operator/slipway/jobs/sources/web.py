"""Sources ``https://`` and ``http://``: an archive, or one model file."""

from base64 import b64encode
from email.message import Message
from email.utils import collapse_rfc2231_value
from pathlib import Path
from urllib.parse import unquote, urlsplit

from slipway.api.reasons import Reason
from slipway.api.request import SourceRequest
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, name_problem
from slipway.jobs.http import Backoff, open_pool, without_secrets
from slipway.jobs.sources import archive
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.content_encoding import decode_content
from slipway.jobs.sources.download import Download, Visitor, download_file
from slipway.jobs.sources.one_file import make_tree_of_file
from slipway.jobs.sources.telling_name import is_telling_name

TOKEN = ("token", "bearerToken", "accessToken", "HF_TOKEN")
USER = ("username", "user")
PASSWORD = ("password",)


def fetch_from_web(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of a download, unpacked if its name is that of an archive.

    Raises:
        JobFailure: the reasons of `download_file` and `unpack_archive`, or SourceRefused.

    """
    request = access.request
    name = _name_in_address(request)
    _require_trust(request)
    visitor = Visitor(_authorization(access), access.credentials, access.advice)

    with open_pool(access.ca_file(), access.proxy) as pool:
        got = download_file(
            pool,
            request.uri,
            archive.make_empty_directory(scratch / "download") / name,
            max_bytes=request.max_bytes,
            backoff=backoff,
            visitor=visitor,
        )

    name = _name_given_by_server(got) or name
    got = decode_content(got, name, request.max_bytes)
    return make_tree_of_file(access, got.path, name, scratch, got.digest)


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


def _name_given_by_server(got: Download) -> str | None:
    """Return a better name than one that says nothing, as in ``…/download?id=7``; None without.

    A name that says what the file is stays, because it is part of the model's digest.
    """
    if is_telling_name(got.path.name):
        return None

    disposition = got.headers.get("Content-Disposition", "")
    for name in (*_disposition_names(disposition), _last_segment(got.url)):
        bare = name.replace("\\", "/").rpartition("/")[2]
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
