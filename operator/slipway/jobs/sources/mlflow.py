"""Sources ``mlflow://<model>@<alias>`` and ``mlflow://<model>/<version>``: MLflow's model registry.

An alias is resolved to its version first, through the tracking server's REST API. The files are
then read where the registry says they are: in an object store, or through the server itself.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree, TreeFile, make_tree, name_problem
from slipway.jobs.http import TRANSIENT_STATUS, Backoff, is_untrusted, open_pool
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.archive import MAX_FILES, make_empty_directory
from slipway.jobs.sources.download import Visitor, open_download
from slipway.jobs.sources.mlflow_layout import select_served_files
from slipway.jobs.sources.mlflow_store import access_artifact_store
from slipway.jobs.sources.object_store import fetch_from_object_store
from slipway.jobs.sources.store_settings import require_trusted

ADDRESS = re.compile(r"mlflow://([^/@]+)(?:@([^/@]+)|/([1-9][0-9]*))")
ENDPOINT = ("MLFLOW_TRACKING_URI",)
TOKEN = ("MLFLOW_TRACKING_TOKEN",)
USER = ("MLFLOW_TRACKING_USERNAME",)
PASSWORD = ("MLFLOW_TRACKING_PASSWORD",)

REGISTRY = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
ERROR_CODE = re.compile(r"[A-Z_]{1,60}")
MAX_ANSWER_BYTES = 8 * 2**20
MAX_DEPTH = 32
"""Of folders below a version."""
OK, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, SERVER_ERRORS = 200, 401, 403, 404, 500
UNKNOWN = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""Of a model or version that is not there; the second of an alias."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What an address names: a version, or an alias that has one."""

    model: str
    alias: str | None
    version: str | None

    def __str__(self) -> str:
        return f"alias {self.alias!r}" if self.alias is not None else f"version {self.version}"


def fetch_from_mlflow(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of a version of a registered model, without those that only MLflow needs.

    Raises:
        JobFailure: SourceNotFound, SourceRefused or SourceTooLarge; SourceUnavailable, which is
            transient; or the reasons of the store where the files are.

    """
    match = ADDRESS.fullmatch(access.request.uri)
    if match is None:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            "expected mlflow://<model>@<alias> or mlflow://<model>/<version>",
        )
    model, alias, version = (unquote(part) if part else None for part in match.groups())
    wanted = _Named(model or "", alias, version)

    with open_pool(access.ca_file(), access.proxy) as pool:
        server = _TrackingServer(access, pool, _endpoint(access), _authorization(access), backoff)
        version = server.find_version(wanted)
        place = server.find_files(wanted.model, version)
        if place.startswith("mlflow-artifacts:"):
            tree = server.fetch_files(_path_behind_server(server, place), scratch)
        else:
            tree = fetch_from_object_store(access_artifact_store(access, place), scratch, backoff)

    origin = f"mlflow://{quote(wanted.model, safe='')}/{version}"
    return replace(select_served_files(access, tree), origin=origin)


def _endpoint(access: SourceAccess) -> str:
    """Return the address of the tracking server."""
    endpoint = access.asked.endpoint or access.find(ENDPOINT)
    if endpoint is None:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"found no tracking server, expected {access.field}.connection.endpoint, a store of "
            f"the operator's settings with an endpoint, or {ENDPOINT[0]} in the Secret",
        )
    return require_trusted(access, endpoint).rstrip("/")


def _authorization(access: SourceAccess) -> str | None:
    """Return the value of an Authorization header from the Secret; None where it has none.

    A Secret may have the keys of the store alone: a server without users asks for none.
    """
    if access.asked.secret is None or access.asked.anonymous:
        return None
    token = access.find(TOKEN)
    if token is not None:
        return f"Bearer {token}"
    if access.find(USER) is None:
        return None
    pair = f"{access.require(USER)}:{access.require(PASSWORD)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class _TrackingServer:
    """The REST API of a tracking server."""

    access: SourceAccess
    pool: urllib3.PoolManager
    endpoint: str
    authorization: str | None
    backoff: Backoff

    def find_version(self, wanted: _Named) -> str:
        """Return the number of the version that an address names, which must be ready."""
        if wanted.alias is not None:
            query, route = {"name": wanted.model, "alias": wanted.alias}, "registered-models/alias"
        else:
            query = {"name": wanted.model, "version": str(wanted.version)}
            route = "model-versions/get"
        answer = self._ask(
            f"{REGISTRY}/{route}", query, what=f"model {wanted.model!r} with {wanted}"
        )
        found = answer.get("model_version")
        version = str(found.get("version") if isinstance(found, dict) else None)
        if not isinstance(found, dict) or not version.isdecimal():
            raise self._foreign_answer()

        # MLflow registers a version before its files are there.
        status = found.get("status", "READY")
        if status != "READY":
            raise self.access.failure(
                Reason.SOURCE_UNAVAILABLE,
                f"version {version} is {str(status)[:40]}, expected READY",
                transient=True,
            )
        return version

    def find_files(self, model: str, version: str) -> str:
        """Return the address at which the files of a version are."""
        query = {"name": model, "version": version}
        what = f"model {model!r} with version {version}"
        answer = self._ask(f"{REGISTRY}/model-versions/get-download-uri", query, what=what)
        place = answer.get("artifact_uri")
        if not isinstance(place, str):
            raise self._foreign_answer()
        return place

    def fetch_files(self, root: str, scratch: Path) -> Tree:
        """Return the files below a path of the server's own artifacts, fetched one by one."""
        folder = make_empty_directory(scratch / "download")
        sizes = dict(self._list(root, "", 0))
        most = self.access.request.max_bytes
        if len(sizes) > MAX_FILES or sum(sizes.values()) > most:
            raise self.access.failure(
                Reason.SOURCE_TOO_LARGE,
                f"found {len(sizes)} files of {sum(sizes.values())} bytes, expected at most "
                f"{MAX_FILES} of {most}",
            )

        visitor = Visitor(self.authorization, self.access.credentials, self.access.advice)
        files, left = list[TreeFile](), most
        for name in sorted(sizes):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            url = f"{self.endpoint}/{ARTIFACTS}/{quote(f'{root}/{name}')}"
            answer = open_download(
                self.pool, url, max_bytes=left, backoff=self.backoff, visitor=visitor
            )
            left -= answer.save(path).size
            files.append(TreeFile(name, path))
        return make_tree(files, is_private=True)

    def _list(self, root: str, inside: str, depth: int) -> Iterator[tuple[str, int]]:
        """Yield the names and bytes of all files below a folder."""
        path = f"{root}/{inside}".strip("/")
        answer = self._ask(ARTIFACTS, {"path": path}, what=f"artifacts of {path!r}")
        entries = answer.get("files") or []
        if not isinstance(entries, list) or depth > MAX_DEPTH:
            raise self._foreign_answer()

        for entry in entries:
            given = entry.get("path") if isinstance(entry, dict) else None
            name = f"{inside}{given}"
            problem = name_problem(name) if isinstance(given, str) and given else "is missing"
            if problem is not None:
                raise self.access.failure(
                    Reason.SOURCE_REFUSED, f"the file name {name[:80]!r} {problem}"
                )
            if entry.get("is_dir"):
                yield from self._list(root, f"{name}/", depth + 1)
            else:
                size = str(entry.get("file_size") or 0)
                yield name, int(size) if size.isdecimal() else 0

    def _ask(self, route: str, query: Mapping[str, str], *, what: str) -> dict[str, Any]:
        """Return the answer to a GET, with patience."""
        failures = 0
        while True:
            try:
                status, headers, data = self._get(f"{self.endpoint}/{route}?{urlencode(query)}")
            except HTTPError as error:
                if is_untrusted(error):
                    raise self.access.failure(
                        Reason.SOURCE_REFUSED,
                        "the tracking server's certificate is not trusted: set "
                        f"{self.access.field}.connection.caConfigMapRef, if a private authority "
                        "signed it",
                    ) from error
                problem, retry_after = f"incomplete answer ({type(error).__name__})", None
            else:
                if status not in TRANSIENT_STATUS and status < SERVER_ERRORS:
                    return self._understand(status, data, what)
                problem, retry_after = f"found status {status}", headers.get("Retry-After")

            failures += 1
            if failures >= self.backoff.attempts:
                raise self.access.failure(
                    Reason.SOURCE_UNAVAILABLE,
                    f"the tracking server: {problem}, {failures} times in a row",
                    transient=True,
                )
            self.backoff.wait(failures, retry_after)

    def _get(self, url: str) -> tuple[int, Mapping[str, str], bytes]:
        headers = dict[str, str](self.pool.headers)
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        response = self.pool.request(
            "GET", url, headers=headers, preload_content=False, redirect=False
        )
        try:
            return response.status, response.headers, response.read(MAX_ANSWER_BYTES)
        finally:
            response.close()

    def _understand(self, status: int, data: bytes, what: str) -> dict[str, Any]:
        """Return what a final answer says.

        Of a refusal only MLflow's own code is told on: what else stands there may be anybody's.
        """
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if status == OK and isinstance(answer, dict):
            return answer

        code = answer.get("error_code") if isinstance(answer, dict) else None
        code = code if isinstance(code, str) and ERROR_CODE.fullmatch(code) else None
        said = f"({status} {code})" if code else f"({status})"
        if code in UNKNOWN:
            raise self.access.failure(Reason.SOURCE_NOT_FOUND, f"there is no {what} {said}")
        if status == FORBIDDEN and b"Invalid Host header" in data:
            raise self.access.failure(
                Reason.SOURCE_REFUSED,
                "the tracking server does not take its own name for one of its hosts: start it "
                f"with --allowed-hosts {urlsplit(self.endpoint).netloc} {said}",
            )
        if status in {UNAUTHORIZED, FORBIDDEN}:
            raise self.access.failure(Reason.SOURCE_REFUSED, self._describe_refusal(what, said))
        raise self._foreign_answer(said)

    def _describe_refusal(self, what: str, said: str) -> str:
        if self.authorization is not None:
            return f"{self.access.credentials} may not read {what} {said}"
        return (
            f"the tracking server asks for credentials {said}: set "
            f"{self.access.field}.credentialsSecretRef to a Secret with {TOKEN[0]}, or with "
            f"{USER[0]} and {PASSWORD[0]}"
        )

    def _foreign_answer(self, said: str = "") -> JobFailure:
        return self.access.failure(
            Reason.SOURCE_REFUSED,
            f"found an answer that is not MLflow's at {self.endpoint}, expected a tracking server"
            f"{said and ' '}{said}",
        )


def _path_behind_server(server: _TrackingServer, place: str) -> str:
    """Return the path of ``mlflow-artifacts:`` addresses, which must be this server's own.

    Another server would get the credentials of this one.
    """
    parts = urlsplit(place)
    if parts.netloc and parts.netloc != urlsplit(server.endpoint).netloc:
        raise server.access.failure(
            Reason.SOURCE_REFUSED,
            f"the files are behind another server, {parts.netloc[:80]}; expected the tracking "
            "server or an object store",
        )
    path = unquote(parts.path).strip("/")
    problem = name_problem(path)
    if problem is not None:
        raise server.access.failure(Reason.SOURCE_REFUSED, f"the artifacts' path {problem}")
    return path
