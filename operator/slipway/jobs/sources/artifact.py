"""Sources ``oci://<registry>/<repository>:<tag>``: an image or an artifact that carries a model.

* An image has the model below ``/models``, as KServe's modelcars and Slipway's own images do.
* An artifact of ORAS names a file in each layer, or has it packed where it is a directory.
* One of the CNCF's ModelPack has weights, configuration and code as files or tars; documentation
  and data sets are left out.
"""

import gzip
import hashlib
import json
import logging
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from slipway.api.names import MODEL_ROOT
from slipway.api.reasons import Reason
from slipway.errors import RegistryRefused, RegistryUnavailable
from slipway.jobs.file_tree import WHITEOUT, Tree, make_tree, name_problem, walk_files
from slipway.jobs.http import Backoff, open_pool
from slipway.jobs.registry.client import RegistryClient
from slipway.jobs.registry.credentials import Credential, Keyring, load_keyring, make_credential
from slipway.jobs.registry.media_types import CONFIGS, INDEXES, MANIFESTS
from slipway.jobs.registry.reference import (
    DOCKER_HUB,
    DOCKER_HUB_ENDPOINT,
    ImageReference,
    parse_reference,
)
from slipway.jobs.registry.repository import RawManifest, Repository
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.archive import (
    MAX_FILES,
    ArchiveLimits,
    is_archive,
    make_empty_directory,
    unpack_archive,
)
from slipway.jobs.sources.one_file import make_tree_of_file
from slipway.jobs.sources.progress import Progress

log = logging.getLogger(__name__)

PLATFORM = {"os": "linux", "architecture": "amd64"}
"""Of an image with several; the model is the same in all."""
TITLE = "org.opencontainers.image.title"
FILE_PATH = "org.cncf.model.filepath"
UNPACK = "io.deis.oras.content.unpack"
LEFT_OUT = ("application/vnd.cncf.model.doc.", "application/vnd.cncf.model.dataset.")
TAR_SUFFIXES = {".tar": ".tar", "+gzip": ".tar.gz", ".tar.gzip": ".tar.gz", "+zstd": ".tar"}
MODELS = PurePosixPath(MODEL_ROOT.strip("/"))
USER, PASSWORD = ("username", "user"), ("password", "token")


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of an artifact."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]

    @property
    def name(self) -> str | None:
        """The file that it is; None where it is a tar of files."""
        return self.annotations.get(FILE_PATH) or self.annotations.get(TITLE)

    @property
    def is_packed(self) -> bool:
        """Whether files are to be unpacked of it.

        ORAS gives plain files the type of a tar and their name; what it packed itself is marked.
        """
        if self.annotations.get(UNPACK) == "true" or self.name is None:
            return True
        return FILE_PATH in self.annotations and self._tar_suffix is not None

    @property
    def archive(self) -> str:
        """A file name that says how it is packed."""
        if self.annotations.get(UNPACK) == "true":
            return "layer.tar.gz"
        return f"layer{self._tar_suffix or '.tar'}"

    @property
    def _tar_suffix(self) -> str | None:
        fitting = [
            name for ending, name in TAR_SUFFIXES.items() if self.media_type.endswith(ending)
        ]
        return fitting[0] if fitting else None


def fetch_from_registry(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files of an image or artifact.

    Raises:
        JobFailure: SourceNotFound, SourceRefused, SourceTooLarge; SourceUnavailable, which is
            transient; or the archive's own reasons.

    """
    try:
        return _Artifact(access, scratch, backoff).fetch()
    except RegistryRefused as error:
        raise access.failure(
            Reason.SOURCE_REFUSED, f"{error}; asked by {access.credentials}"
        ) from error
    except RegistryUnavailable as error:
        raise access.failure(Reason.SOURCE_UNAVAILABLE, str(error), transient=True) from error


@dataclass(frozen=True, slots=True)
class _Artifact:
    """One image or artifact, on its way here."""

    access: SourceAccess
    scratch: Path
    backoff: Backoff

    def fetch(self) -> Tree:
        """Read the manifest, then what it names."""
        reference = parse_reference(self.access.request.uri.removeprefix("oci://"))
        repository = self._connect(reference)
        manifest = self._read_manifest(repository, reference)
        content = json.loads(manifest.data)
        layers = [_parse_layer(item) for item in content.get("layers") or ()]
        self._require_sane(layers)

        origin = f"oci://{reference.name}@{manifest.digest}"
        progress = Progress(sum(layer.size for layer in layers))
        config_type = (content.get("config") or {}).get("mediaType")
        if config_type in CONFIGS and not any(layer.name for layer in layers):
            return self._fetch_image(repository, layers, progress, origin)
        return self._fetch_artifact(repository, layers, progress, origin)

    def _connect(self, reference: ImageReference) -> Repository:
        asked = self.access.asked
        keyring = Keyring()
        if asked.secret is not None and not asked.anonymous:
            keyring = self._load_keyring(reference)
        host = DOCKER_HUB_ENDPOINT if reference.host == DOCKER_HUB else reference.host
        base = (asked.endpoint or f"https://{host}").rstrip("/")
        if base.startswith("http://") and not self.access.request.allow_plain_http:
            raise self.access.failure(
                Reason.SOURCE_REFUSED,
                f"found an endpoint with http and no digest; expected https or "
                f"{self.access.field}.digest",
            )
        pool = open_pool(self.access.ca_file(), self.access.proxy)
        client = RegistryClient(reference.host, base, pool, keyring, self.backoff)
        return Repository(client, reference.repository)

    def _load_keyring(self, reference: ImageReference) -> Keyring:
        """Return the credentials of a docker config, or a user and password for this registry."""
        keyring = load_keyring([self.access.mounts.secret])
        if keyring.credentials:
            return keyring
        user, password = self.access.require(USER), self.access.require(PASSWORD)
        credential: Credential = make_credential(reference.host, user, password)
        return Keyring((credential,))

    def _read_manifest(self, repository: Repository, reference: ImageReference) -> RawManifest:
        accepted = (*MANIFESTS, *INDEXES)
        manifest = repository.manifest(reference.version, accepted)
        if manifest is not None and manifest.media_type in INDEXES:
            entries = json.loads(manifest.data).get("manifests") or []
            fitting = [
                it for it in entries if PLATFORM.items() <= (it.get("platform") or {}).items()
            ]
            chosen = fitting or entries[:1]
            manifest = repository.manifest(chosen[0]["digest"], accepted) if chosen else None
        if manifest is None:
            raise self.access.failure(
                Reason.SOURCE_NOT_FOUND,
                f"there is no {reference.version} in {reference.name}, or "
                f"{self.access.credentials} may not see it",
            )
        return manifest

    def _require_sane(self, layers: Sequence[_Layer]) -> None:
        total, most = sum(layer.size for layer in layers), self.access.request.max_bytes
        if total > most:
            raise self.access.failure(
                Reason.SOURCE_TOO_LARGE, f"found {total} bytes, expected at most {most}"
            )
        if not layers:
            raise self.access.failure(Reason.SOURCE_NOT_FOUND, "found no layers, expected a model")

    def _fetch_artifact(
        self, repository: Repository, layers: Sequence[_Layer], progress: Progress, origin: str
    ) -> Tree:
        wanted = [layer for layer in layers if not layer.media_type.startswith(LEFT_OUT)]
        tree = make_empty_directory(self.scratch / "download")
        for layer in wanted:
            if layer.is_packed:
                self._unpack(repository, layer, progress, tree)
            else:
                self._fetch_file(repository, layer, progress, tree)

        only = wanted[0] if len(wanted) == 1 else None
        if only is not None and only.name is not None and is_archive(only.name):
            path = tree / only.name
            return make_tree_of_file(
                self.access, path, path.name, self.scratch, only.digest, origin=origin
            )
        return make_tree(walk_files(tree), origin=origin, is_private=True)

    def _fetch_file(
        self, repository: Repository, layer: _Layer, progress: Progress, tree: Path
    ) -> None:
        name = layer.name or ""
        problem = name_problem(name)
        if problem is not None:
            raise self.access.failure(Reason.SOURCE_REFUSED, f"the file name {name!r} {problem}")
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._download(repository, layer, progress, path)

    def _unpack(
        self, repository: Repository, layer: _Layer, progress: Progress, tree: Path
    ) -> None:
        if layer.media_type.endswith("+zstd"):
            raise self.access.failure(
                Reason.SOURCE_REFUSED, f"layer {layer.digest}: found zstd, expected tar or gzip"
            )
        packed = self.scratch / "layer"
        self._download(repository, layer, progress, packed)
        into = make_empty_directory(self.scratch / "unpacked")
        limits = ArchiveLimits(self.access.request.max_bytes)
        for file in unpack_archive(packed, layer.archive, into, limits):
            target = tree / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.path.replace(target)
        packed.unlink()

    def _fetch_image(
        self, repository: Repository, layers: Sequence[_Layer], progress: Progress, origin: str
    ) -> Tree:
        tree = make_empty_directory(self.scratch / "download")
        room = _Room(self.access.request.max_bytes)
        packed = self.scratch / "layer"
        for layer in layers:
            if layer.media_type.endswith("zstd"):
                raise self.access.failure(
                    Reason.SOURCE_REFUSED, f"layer {layer.digest}: found zstd, expected tar or gzip"
                )
            self._download(repository, layer, progress, packed)
            try:
                _apply_layer(packed, tree, room, self._refuse)
            except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise self.access.failure(
                    Reason.CORRUPT_ARCHIVE, f"layer {layer.digest}: damaged: {error}"
                ) from error
            packed.unlink()

        files = list(walk_files(tree))
        if not files:
            raise self.access.failure(
                Reason.SOURCE_NOT_FOUND, f"the image has no files below {MODEL_ROOT}"
            )
        return make_tree(files, origin=origin, is_private=True)

    def _refuse(self, reason: Reason, problem: str) -> Exception:
        return self.access.failure(reason, problem)

    def _download(
        self, repository: Repository, layer: _Layer, progress: Progress, path: Path
    ) -> None:
        """Fetch a blob, go on where it broke off, and verify its digest on the way."""
        hasher, size, failures = hashlib.sha256(), 0, 0
        with path.open("wb") as file:
            while size < layer.size:
                before = size
                try:
                    for block in repository.stream(layer.digest, size):
                        hasher.update(block)
                        file.write(block)
                        size += len(block)
                        progress.add(len(block))
                    problem = RegistryUnavailable(f"blob {layer.digest}: the answer ended early")
                except RegistryUnavailable as error:
                    problem = error
                if size < layer.size:
                    failures = 1 if size > before else failures + 1
                    if failures >= self.backoff.attempts:
                        raise problem
                    self.backoff.wait(failures)

        found = f"sha256:{hasher.hexdigest()}"
        if found != layer.digest:
            raise RegistryRefused(f"blob {layer.digest}: found content with digest {found}")


def _parse_layer(item: Mapping[str, Any]) -> _Layer:
    return _Layer(
        media_type=str(item.get("mediaType", "")),
        digest=str(item["digest"]),
        size=int(item["size"]),
        annotations=item.get("annotations") or {},
    )


@dataclass(slots=True)
class _Room:
    """What the files of an image may still take."""

    bytes_left: int
    files_left: int = MAX_FILES


def _apply_layer(
    packed: Path, tree: Path, room: _Room, refuse: Callable[[Reason, str], Exception]
) -> None:
    """Put what a layer has below the models' directory into `tree`, as a runtime would."""
    with _open_plain(packed) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            path = PurePosixPath(member.name.lstrip("./") or ".")
            if not path.is_relative_to(MODELS):
                continue
            inside = path.relative_to(MODELS)
            if inside.name.startswith(WHITEOUT):
                _remove(tree / inside.parent, inside.name.removeprefix(WHITEOUT))
                continue
            if member.isdir():
                continue
            name = str(inside)
            problem = name_problem(name)
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                problem = problem or "is no plain file; expected only files and directories"
            if problem is not None or content is None:
                raise refuse(Reason.UNSAFE_ARCHIVE, f"{name!r} {problem}")

            room.files_left -= 1
            room.bytes_left -= member.size
            if room.files_left < 0 or room.bytes_left < 0:
                raise refuse(Reason.SOURCE_TOO_LARGE, "the image has more than Slipway accepts")
            _write(tree / inside, content)


def _open_plain(packed: Path) -> IO[bytes]:
    with packed.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(packed) if is_gzip else packed.open("rb")  # type: ignore[return-value]


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for block in _blocks(content):
            file.write(block)


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    while block := content.read(2**20):
        yield block


def _remove(folder: Path, name: str) -> None:
    """Remove what a layer hides: one entry, or all that lower layers have in a directory."""
    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    for found in names if name == ".wh..opq" else [name]:
        path = folder / found
        if path.is_dir():
            make_empty_directory(path).rmdir()
        else:
            path.unlink(missing_ok=True)
