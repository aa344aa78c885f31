"""``slipway package``: turns a model into a container image, or into files in a directory.

It is the program of the package Job and of the init container of Fetch mode; the request in
``$SLIPWAY_REQUEST`` decides what it does.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slipway.api import names
from slipway.api.precision import Optimized
from slipway.api.reasons import Reason
from slipway.api.request import (
    CA_MOUNT,
    CACHE_MOUNT,
    ENVIRONMENT_VARIABLE,
    PULL_SECRET_MOUNT,
    PUSH_SECRET_MOUNT,
    SCRATCH_MOUNT,
    SOURCE_CA_MOUNT,
    SOURCE_KEY_MOUNT,
    SOURCE_MOUNT,
    SOURCE_SECRET_MOUNT,
    OptimizeRequest,
    PackageMode,
    PackageRequest,
)
from slipway.api.result import JobError, PackageResult
from slipway.errors import JobFailure, RegistryUnavailable
from slipway.jobs.file_tree import CannotStream, Tree
from slipway.jobs.http import Backoff, Proxy
from slipway.jobs.model_digest import TreeDigest
from slipway.jobs.optimize.optimized_tree import OptimizedTree
from slipway.jobs.package.base_image import BaseImages, require_backend, resolve_base
from slipway.jobs.package.image import (
    ImageInputs,
    append_layers,
    configuration_digest,
    configuration_files,
    digests_by_source,
    empty_folders,
    new_weight_files,
    skeleton_paths,
    weight_files,
    without_files,
)
from slipway.jobs.package.layer import Layer, MeasuredLayer, make_layer
from slipway.jobs.package.model_cache import ModelCache
from slipway.jobs.package.publish import Transfer, find_image, publish_image
from slipway.jobs.package.record import (
    RecordKey,
    find_layer,
    find_record,
    make_layer_key,
    make_record_key,
    write_layer,
    write_record,
)
from slipway.jobs.package.repository_plan import (
    RepositoryPlan,
    choose_layout,
    plan_model_repository,
)
from slipway.jobs.package.skeleton import Skeleton
from slipway.jobs.package.write_repository import write_repository
from slipway.jobs.registry.credentials import load_keyring
from slipway.jobs.registry.reference import parse_reference
from slipway.jobs.registry.registries import Registries
from slipway.jobs.registry.repository import Repository
from slipway.jobs.registry.upload import SentUpload, StreamRefused, send_stream
from slipway.jobs.sources.access import SourceAccess, SourceMounts
from slipway.jobs.sources.archive import make_empty_directory
from slipway.jobs.sources.download_page import serve_download_progress
from slipway.jobs.sources.fetch import fetch_source, is_web, verify_digest
from slipway.jobs.sources.signed_tree import SignedTree, verify_signature
from slipway.jobs.sources.streaming import STREAM_BYTES
from slipway.jobs.termination_message import TERMINATION_LOG, run_and_report

log = logging.getLogger(__name__)

FETCH_SCRATCH = ".slipway-fetch"
"""Directory in the model repository, so that fetched files can be moved; deleted before Triton
starts."""


@dataclass(frozen=True, slots=True)
class PackageMounts:
    """Where the Job's volumes are mounted."""

    scratch: Path = Path(SCRATCH_MOUNT)
    source: Path = Path(SOURCE_MOUNT)
    push_secret: Path = Path(PUSH_SECRET_MOUNT)
    pull_secrets: Path = Path(PULL_SECRET_MOUNT)
    ca: Path = Path(CA_MOUNT)
    source_secret: Path = Path(SOURCE_SECRET_MOUNT)
    source_ca: Path = Path(SOURCE_CA_MOUNT)
    source_key: Path = Path(SOURCE_KEY_MOUNT)
    cache: Path = Path(CACHE_MOUNT)

    @property
    def of_source(self) -> SourceMounts:
        """What the source needs."""
        return SourceMounts(self.source, self.source_secret, self.source_ca, self.source_key)


@dataclass(slots=True)
class PhaseTimer:
    """Measures the wall time of each phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by phase."""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside the block to a phase."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = round(time.monotonic() - start, 3)
            self.seconds[name] = self.seconds.get(name, 0) + spent
            log.info("%s took %.3f s", name, spent)


def main() -> int:
    """Serve the request in the environment, and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    serve_download_progress()
    return run_package_job(os.environ.get(ENVIRONMENT_VARIABLE), PackageMounts(), TERMINATION_LOG)


def run_package_job(
    text: str | None, mounts: PackageMounts, termination_log: Path, backoff: Backoff | None = None
) -> int:
    """Serve the request in `text`, write the termination message, and return the exit code."""

    def work() -> PackageResult:
        if text is None:
            raise JobFailure(
                Reason.INVALID_REQUEST, f"found no ${ENVIRONMENT_VARIABLE}, expected a request"
            )
        request = PackageRequest.model_validate_json(text)
        return PackageJob(request, mounts, backoff or Backoff()).run()

    def failed(error: JobError) -> PackageResult:
        return PackageResult(error=error)

    return run_and_report(work, failed, termination_log)


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that was fetched, verified and planned."""

    tree: Tree
    """The files that are served."""
    files: TreeDigest
    """Their digests."""
    digest: TreeDigest
    """Digests of the source's files; the same where nothing was converted."""
    signed: SignedTree | None
    plan: RepositoryPlan
    optimized: Optimized | None


@dataclass(frozen=True, slots=True)
class PackagedImage:
    """An image of a model in its repository."""

    name: str
    """``repository@sha256:…``."""
    base: BaseImages
    reused: bool
    """True when the registry already had it."""


@dataclass(frozen=True, slots=True)
class PackageJob:
    """The work of one request."""

    request: PackageRequest
    mounts: PackageMounts
    backoff: Backoff
    timer: PhaseTimer = field(default_factory=PhaseTimer)

    def run(self) -> PackageResult:
        """Package the model as the request says.

        Raises:
            JobFailure: the model cannot be fetched, or cannot be packaged as it is.
            RegistryRefused: an image cannot be read or written.
            RegistryUnavailable: the registry does not answer.

        """
        if self.request.deliver_to is not None:
            target = Path(self.request.deliver_to)
            scratch = make_empty_directory(target / FETCH_SCRATCH)
            model = self._fetch_model(scratch)
            with self.timer.phase("deliver"):
                write_repository(model.plan, model.tree, model.files, target)
                make_empty_directory(scratch).rmdir()
            return self._result(model)

        if self.request.mode is PackageMode.FETCH:
            return self._result(self._fetch_model(self.mounts.scratch))

        with self._open_transfer() as transfer:
            return self._package(transfer)

    def _package(self, transfer: Transfer) -> PackageResult:
        # First, so that nobody waits for gigabytes to hear that the base image is not there.
        with self.timer.phase("base"):
            base = resolve_base(transfer.base, transfer.origin, self.request.architectures)
        known = self._find_record(transfer, base, self.request.source.digest)
        if known is not None:
            return known

        tree = None
        if self._may_stream:
            with self.timer.phase("fetch"):
                tree = self._fetch_source(self.mounts.scratch, may_stream=True)
            if tree.streamed:
                try:
                    return self._stream_image(tree, transfer, base)
                except (CannotStream, StreamRefused) as problem:
                    log.info("fetching to disk first: %s", problem)
                    tree = None

        model = self._fetch_model(self.mounts.scratch, tree)
        return self._finish(model, base, transfer, model.tree.version)

    def _finish(
        self,
        model: FetchedModel,
        base: BaseImages,
        transfer: Transfer,
        version: str | None,
        streamed: tuple[MeasuredLayer, SentUpload] | None = None,
    ) -> PackageResult:
        """Make the image, and record what it was made of."""
        require_backend(model.plan.layout.format, base.first)
        result = self._result(model, self._find_or_push(model, base, transfer, streamed))
        if self._may_stream and model.digest.size >= STREAM_BYTES:
            for bytes_ in (version, self.request.source.digest):
                if bytes_ is not None:
                    write_record(transfer.target, self._record_key(base, bytes_), result)
        return result

    def _find_record(
        self, transfer: Transfer, base: BaseImages, version: str | None
    ) -> PackageResult | None:
        """Return what the same bytes of the same source gave before; None where nobody knows."""
        if version is None or not self._may_stream:
            return None
        with self.timer.phase("push"):
            pinned = self.request.source.digest
            known = find_record(transfer.target, self._record_key(base, version), pinned)
        if known is None:
            return None
        log.info("the source gave %s before", known.image)
        return known.model_copy(update={"reused": True, "seconds": self.timer.seconds})

    def _record_key(self, base: BaseImages, version: str) -> RecordKey:
        return make_record_key(self.request, version, base.found)

    @property
    def _may_stream(self) -> bool:
        """Whether nothing needs all files before they are packed."""
        request = self.request
        needs_files = (request.source.verify, request.optimize, request.cache_bytes)
        return request.mode is not PackageMode.FETCH and not any(
            item is not None for item in needs_files
        )

    def _stream_image(self, tree: Tree, transfer: Transfer, base: BaseImages) -> PackageResult:
        """Package a model of which large files are read from their store while they are sent.

        Raises:
            CannotStream, StreamRefused: the files have to be fetched first.

        """
        known = self._find_record(transfer, base, tree.version)
        if known is not None:
            return known

        layout = choose_layout(tree, self.request.config)
        require_backend(layout.format, base.first)
        weights = MeasuredLayer.of(
            new_weight_files(layout, tree), watch=Skeleton(skeleton_paths(layout, tree))
        )
        with self.timer.phase("stream"):
            sent = send_stream(transfer.target, weights)
        # Until it is completed, the registry has bytes that nobody can pull.
        try:
            if tree.confirm is not None:
                tree.confirm()
            model = self._describe_streamed(tree, digests_by_source(layout, weights.digests))
            return self._finish(model, base, transfer, tree.version, (weights, sent))
        except BaseException:
            sent.cancel()
            raise

    def _describe_streamed(self, tree: Tree, known: Mapping[str, str]) -> FetchedModel:
        """Return what is known of a model after its files were streamed."""
        with self.timer.phase("hash"):
            digest = verify_digest(self.request.source, tree, known)
        if is_web(self.request.source.uri):
            tree = replace(tree, download_digest=f"sha256:{digest.files[0].sha256}")
        plan = plan_model_repository(tree, self.request.config)
        return FetchedModel(tree, digest, digest, None, plan, None)

    def _fetch_model(self, scratch: Path, there: Tree | None = None) -> FetchedModel:
        tree, digest = self._take_or_fetch(scratch, there)

        # Only after digest and signature: what is not the wanted model is not looked into.
        signed = None
        if self.request.source.verify is not None:
            with self.timer.phase("verify"):
                access = SourceAccess(self.request.source, self.mounts.of_source)
                signed = verify_signature(access, tree, digest, scratch, self.backoff)
                tree = signed.tree

        plan, files, optimized = plan_model_repository(tree, self.request.config), digest, None
        if self.request.optimize is not None:
            with self.timer.phase("optimize"):
                converted = _convert(tree, plan, self.request, self.request.optimize, scratch)
            tree, files, optimized = converted.tree, converted.digest, converted.report
            plan = plan_model_repository(tree, self.request.config)
        return FetchedModel(tree, files, digest, signed, plan, optimized)

    def _take_or_fetch(self, scratch: Path, there: Tree | None) -> tuple[Tree, TreeDigest]:
        """Return the files, which have the pinned digest, from the cache where that has them."""
        wanted, size = self.request.source.digest, self.request.cache_bytes
        if wanted is None or size is None:
            return self._fetch(scratch, there)

        cache = ModelCache(self.mounts.cache / names.CACHE_FOLDER, size)
        with cache.hold(wanted):
            with self.timer.phase("cache"):
                known = cache.take(wanted, scratch / "tree")
            if known is not None:
                log.info("took the model from the cache")
                return known
            tree, digest = self._fetch(scratch)
            with self.timer.phase("cache"):
                cache.put(tree, digest)
        return tree, digest

    def _fetch_source(self, scratch: Path, *, may_stream: bool = False) -> Tree:
        return fetch_source(
            self.request.source,
            scratch,
            self.mounts.of_source,
            self.backoff,
            may_stream=may_stream,
        )

    def _fetch(self, scratch: Path, there: Tree | None = None) -> tuple[Tree, TreeDigest]:
        tree = there
        if tree is None:
            with self.timer.phase("fetch"):
                tree = self._fetch_source(scratch)
        with self.timer.phase("hash"):
            digest = verify_digest(self.request.source, tree)
        return tree, digest

    @contextmanager
    def _open_transfer(self) -> Iterator[Transfer]:
        """Connect to the registries of the base image and of the image that is made."""
        request, mounts = self.request, self.mounts
        if request.base_image is None or request.repository is None:
            raise JobFailure(
                Reason.INVALID_REQUEST,
                f"request: found mode {request.mode} without baseImage or repository, expected "
                "both",
            )

        pulls = [mounts.pull_secrets / str(index) for index in range(request.pull_secrets)]
        origin, target = parse_reference(request.base_image), parse_reference(request.repository)
        proxy = Proxy(request.proxy.url, request.proxy.no_proxy) if request.proxy else None
        with Registries(request.registries, mounts.ca, self.backoff, proxy) as registries:
            yield Transfer(
                base=origin,
                image=target,
                origin=registries.repository(origin, load_keyring([*pulls, mounts.push_secret])),
                target=registries.repository(
                    target, load_keyring([mounts.push_secret, *pulls]), is_writable=True
                ),
            )

    def _find_or_push(
        self,
        model: FetchedModel,
        base: BaseImages,
        transfer: Transfer,
        streamed: tuple[MeasuredLayer, SentUpload] | None = None,
    ) -> PackagedImage:
        """Return the image, which is found or made; `streamed` has weights that were sent."""
        configuration = make_layer(
            configuration_files(model.plan, model.tree, model.files), empty_folders(model.plan)
        )
        images, digests = base.images, [image.digest for image in base.images]
        if self.request.mode is PackageMode.VOLUME:
            images, digests = (without_files(base.first),), []
        inputs = ImageInputs(
            model.digest.digest,
            configuration_digest(model.plan, configuration),
            digests[0] if digests else None,
            tuple(digests[1:]),
            model.optimized,
        )
        # An image that lies there was made by anybody who may push; a signed model is not taken
        # from it, but packed again, and layers that the registry has already are not sent again.
        if model.signed is None:
            with self.timer.phase("push"):
                known = find_image(transfer.target, inputs)
            if known is not None:
                if streamed is not None:
                    streamed[1].cancel()
                return PackagedImage(f"{transfer.image.name}@{known}", base, reused=True)

        weights = self._provide_weights(model, transfer.target, streamed)
        layers = {"weights": weights, "configuration": configuration}
        name, version = self.request.config.model_name, self.request.version
        image = append_layers(
            images,
            layers,
            inputs,
            model=name,
            version=version,
            more=model.signed.annotations if model.signed else {},
        )
        with self.timer.phase("push"):
            digest = publish_image(transfer, images, list(layers.values()), image, inputs.tag)
        return PackagedImage(f"{transfer.image.name}@{digest}", base, reused=False)

    def _provide_weights(
        self,
        model: FetchedModel,
        target: Repository,
        streamed: tuple[MeasuredLayer, SentUpload] | None,
    ) -> Layer:
        """Return the layer of the weights, which is pushed later unless the repository has it."""
        if streamed is not None:
            with self.timer.phase("push"):
                return _complete(*streamed)

        files = weight_files(model.plan, model.tree, model.files)
        if self._may_stream and sum(file.size for file in files) >= STREAM_BYTES:
            key = make_layer_key(model.plan.layout, model.files)
            known = find_layer(target, key)
            if known is not None:
                return Layer.known(files, known)
            try:
                with self.timer.phase("stream"):
                    layer = MeasuredLayer.of(files)
                    made = _complete(layer, send_stream(target, layer))
                write_layer(target, key, made.digest)
            except (StreamRefused, CannotStream) as problem:
                log.info("packing first: %s", problem)
            else:
                return made

        # Here it is read twice, but sent only where the registry lacks it.
        with self.timer.phase("pack"):
            return make_layer(files)

    def _result(self, model: FetchedModel, image: PackagedImage | None = None) -> PackageResult:
        base = image.base if image else None
        is_mounted = self.request.mode is PackageMode.VOLUME
        return PackageResult(
            model_digest=model.digest.digest,
            download_digest=model.tree.download_digest,
            origin=model.tree.origin,
            image=base.pinned if base and is_mounted else image.name if image else None,
            model_image=image.name if image and is_mounted else None,
            base_digest=base.first.digest if base else None,
            server_version=base.first.server_version if base else None,
            signed=model.signed.report if model.signed else None,
            optimized=model.optimized,
            signature=model.plan.signature,
            format=model.plan.layout.format,
            bytes=model.digest.size,
            reused=image is not None and image.reused,
            seconds=self.timer.seconds,
            warnings=[*model.plan.warnings, *(base.warnings if base else [])],
        )


def _complete(layer: MeasuredLayer, sent: SentUpload) -> Layer:
    """Give an upload its name, and return the layer that it is.

    Raises:
        CannotStream: the registry forgot the upload.

    """
    made = layer.finish()
    try:
        sent.complete(made.digest)
    except RegistryUnavailable as problem:
        if not sent.target.has(made.digest):  # else only the last answer was lost
            raise CannotStream(str(problem)) from problem
    return made


def _convert(
    tree: Tree,
    plan: RepositoryPlan,
    request: PackageRequest,
    wanted: OptimizeRequest,
    scratch: Path,
) -> OptimizedTree:
    try:
        from slipway.jobs.optimize.optimize_tree import (  # noqa: PLC0415 - large; only one image has it
            optimize_tree,
        )
    except ModuleNotFoundError as error:
        raise JobFailure(
            Reason.INVALID_REQUEST,
            f"request: found optimize, and the image has no {error.name}: optimizer.image of the "
            "operator's settings must be the image that converts models",
        ) from error
    return optimize_tree(tree, plan.layout, wanted, request.config, scratch)
