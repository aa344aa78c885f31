"""``slipway package``: a model becomes a container image, or files in a directory.

One program for the package Job and for the init container of Fetch mode: the order in
``$SLIPWAY_REQUEST`` says which.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.api.request import (
    CA_MOUNT,
    ENVIRONMENT_VARIABLE,
    PULL_SECRET_MOUNT,
    PUSH_SECRET_MOUNT,
    SCRATCH_MOUNT,
    SOURCE_MOUNT,
    PackageMode,
    PackageRequest,
)
from slipway.api.result import JobError, PackageResult
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.http import Backoff
from slipway.jobs.model_digest import TreeDigest
from slipway.jobs.package.base_image import BaseImage, resolve_base
from slipway.jobs.package.image import (
    ImageInputs,
    append_layers,
    configuration_digest,
    configuration_files,
    weight_files,
)
from slipway.jobs.package.layer import make_layer
from slipway.jobs.package.publish import Transfer, find_image, publish_image
from slipway.jobs.package.repository_plan import RepositoryPlan, plan_model_repository
from slipway.jobs.package.write_repository import write_repository
from slipway.jobs.registry.credentials import load_keyring
from slipway.jobs.registry.reference import parse_reference
from slipway.jobs.registry.registries import Registries
from slipway.jobs.sources.archive import make_empty_directory
from slipway.jobs.sources.fetch import fetch_source, verify_digest
from slipway.jobs.termination_message import TERMINATION_LOG, run_and_report

log = logging.getLogger(__name__)

FETCH_SCRATCH = ".slipway-fetch"
"""Beside the model repository, so that fetched files can be moved; gone before Triton looks."""


@dataclass(frozen=True, slots=True)
class PackageMounts:
    """Where things are mounted."""

    scratch: Path = Path(SCRATCH_MOUNT)
    source: Path = Path(SOURCE_MOUNT)
    push_secret: Path = Path(PUSH_SECRET_MOUNT)
    pull_secrets: Path = Path(PULL_SECRET_MOUNT)
    ca: Path = Path(CA_MOUNT)


@dataclass(slots=True)
class PhaseTimer:
    """Wall time by phase, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        start = time.monotonic()
        try:
            yield
        finally:
            spent = round(time.monotonic() - start, 3)
            self.seconds[name] = self.seconds.get(name, 0) + spent
            log.info("%s took %.3f s", name, spent)


def main() -> int:
    """Run the order of the environment and return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return run_package_job(os.environ.get(ENVIRONMENT_VARIABLE), PackageMounts(), TERMINATION_LOG)


def run_package_job(
    text: str | None, places: PackageMounts, termination_log: Path, backoff: Backoff | None = None
) -> int:
    """Run the order in `text`; everything that happens ends in the termination message."""

    def work() -> PackageResult:
        if text is None:
            raise JobFailure(
                Reason.INVALID_REQUEST, f"found no ${ENVIRONMENT_VARIABLE}, expected an order"
            )
        return package_model(PackageRequest.model_validate_json(text), places, backoff or Backoff())

    def failed(error: JobError) -> PackageResult:
        return PackageResult(error=error)

    return run_and_report(work, failed, termination_log)


def package_model(
    request: PackageRequest, places: PackageMounts, backoff: Backoff
) -> PackageResult:
    """Do what the order says.

    Raises:
        JobFailure: the model cannot be had, or is not what it should be.
        RegistryRefused: an image cannot be read or written.
        RegistryUnavailable: the registry does not answer.

    """
    phases = PhaseTimer()
    scratch = places.scratch
    if request.deliver_to is not None:
        scratch = make_empty_directory(Path(request.deliver_to) / FETCH_SCRATCH)
    with phases.phase("fetch"):
        tree = fetch_source(request.source, scratch, places.source, backoff)
    with phases.phase("hash"):
        found = verify_digest(request.source, tree)
    prepared = plan_model_repository(tree, request.config)
    model = FetchedModel(tree, found, prepared)
    if request.deliver_to is not None:
        with phases.phase("deliver"):
            write_repository(prepared, tree, found, Path(request.deliver_to))
            make_empty_directory(scratch).rmdir()
        result = model.result()
    elif request.mode is PackageMode.IMAGE:
        result = build_image(request, model, places, backoff, phases)
    else:
        result = model.result()
    return result.model_copy(update={"seconds": phases.seconds})


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model that was fetched, hashed and planned."""

    tree: Tree
    digest: TreeDigest
    prepared: RepositoryPlan

    def result(self) -> PackageResult:
        """Return what is known without an image."""
        return PackageResult(
            model_digest=self.digest.digest,
            download_digest=self.tree.download_digest,
            signature=self.prepared.signature,
            format=self.prepared.layout.format,
            bytes=self.digest.size,
            warnings=self.prepared.warnings,
        )


def build_image(
    request: PackageRequest,
    model: FetchedModel,
    places: PackageMounts,
    backoff: Backoff,
    phases: PhaseTimer,
) -> PackageResult:
    """Make the image, unless the registry has it."""
    if request.base_image is None or request.repository is None:
        raise JobFailure(
            Reason.INVALID_REQUEST, "mode Image: expected baseImage and repository in the order"
        )
    pulls = [places.pull_secrets / str(index) for index in range(request.pull_secrets)]
    reference, goal = parse_reference(request.base_image), parse_reference(request.repository)
    with Registries(request.registries, places.ca, backoff) as registries:
        route = Transfer(
            origin=registries.repository(reference, load_keyring([*pulls, places.push_secret])),
            target=registries.repository(
                goal, load_keyring([places.push_secret, *pulls]), is_writable=True
            ),
        )
        with phases.phase("base"):
            base = resolve_base(reference, route.origin)
        digest, reused = _find_or_make(request, model, base, route, phases)
    return model.result().model_copy(
        update={
            "image": f"{goal.name}@{digest}",
            "base_digest": base.digest,
            "server_version": base.server_version,
            "reused": reused,
        }
    )


def _find_or_make(
    request: PackageRequest,
    model: FetchedModel,
    base: BaseImage,
    route: Transfer,
    phases: PhaseTimer,
) -> tuple[str, bool]:
    """Return the image's digest, and whether it was there."""
    sources = (model.prepared, model.tree, model.digest)
    configuration = make_layer(configuration_files(*sources))
    inputs = ImageInputs(
        model.digest.digest, configuration_digest(model.prepared, configuration), base.digest
    )
    with phases.phase("push"):
        known = find_image(route.target, inputs)
    if known is not None:
        return known, True
    with phases.phase("pack"):
        weights = make_layer(weight_files(*sources))
    layers = {"weights": weights, "configuration": configuration}
    image = append_layers(
        base, layers, inputs, model=request.config.model_name, version=request.version
    )
    with phases.phase("push"):
        return publish_image(route, base, list(layers.values()), image, inputs.tag), False
