"""The image of a model: two layers on top of the base image, made only once for the same inputs.

It is an index where the base is one and the nodes have several architectures: each gets the same
two layers. An image of the model alone has no base.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of
from slipway.api.names import GROUP, MODEL_ROOT
from slipway.api.precision import Optimized
from slipway.jobs.file_tree import CannotStream, Tree
from slipway.jobs.model_digest import TreeDigest
from slipway.jobs.package.base_image import BaseImage
from slipway.jobs.package.layer import Layer, LayerFile, make_text_file
from slipway.jobs.package.repository_plan import RepositoryPlan
from slipway.jobs.registry.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from slipway.render.model_repository import Layout, Placement

PACKAGER_FORMAT = "1"
"""Version of the packager; increased when the same inputs give another image."""
EPOCH = "1970-01-01T00:00:00Z"
"""Creation time of everything, so that the same inputs give the same bytes."""

MODEL_DIGEST = f"{GROUP}/model-digest"
"""Digest of the source's files, which are those in the image unless they were converted."""
PRECISION = f"{GROUP}/precision"
CONVERTED_DIGEST = f"{GROUP}/converted-digest"
CONFIGURATION = f"{GROUP}/configuration"
PACKAGER = f"{GROUP}/packager"
OTHER_BASES = f"{GROUP}/other-base-digests"
BASE_DIGEST = "org.opencontainers.image.base.digest"
BASE_NAME = "org.opencontainers.image.base.name"
IMAGE_VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """Everything that determines the content of an image."""

    model_digest: str
    configuration: str
    """``sha256:…`` of the configuration layer and of where every file goes."""
    base_digest: str | None
    """Of the image for the first architecture; None: an image of the model alone."""
    others: tuple[str, ...] = ()
    """Digests of the base for the other architectures."""
    optimized: Optimized | None = None
    """What the model was converted to; None where it is the source's."""

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations by which an image records its inputs."""
        converted = {} if self.optimized is None else _describe_conversion(self.optimized)
        base = {} if self.base_digest is None else {BASE_DIGEST: self.base_digest}
        others = {OTHER_BASES: ",".join(self.others)} if self.others else {}
        return {
            **converted,
            MODEL_DIGEST: self.model_digest,
            CONFIGURATION: self.configuration,
            **base,
            **others,
            PACKAGER: PACKAGER_FORMAT,
        }

    @property
    def tag(self) -> str:
        """``m-<16 hex>``: for finding the image, never for running it."""
        return f"m-{sha256_of(self.annotations)[:16]}"

    def match(self, manifest: bytes) -> bool:
        """Return whether a manifest that was found under the tag really has these inputs."""
        try:
            found = json.loads(manifest).get("annotations") or {}
        except (ValueError, AttributeError):
            return False
        return self.annotations.items() <= found.items()


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index, as a registry takes it."""

    data: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """``sha256:…``."""
        return _sha256_digest(self.data)


@dataclass(frozen=True, slots=True)
class ModelImage:
    """The documents of a new image."""

    manifests: tuple[Document, ...]
    """One for each architecture."""
    configs: tuple[bytes, ...]
    """The configuration documents, in the same order."""
    index: Document | None = None
    """What names the manifests; None where there is one only."""

    @property
    def top(self) -> Document:
        """What the tag names."""
        return self.index or self.manifests[0]


def _describe_conversion(optimized: Optimized) -> dict[str, str]:
    return {PRECISION: optimized.precision.value, CONVERTED_DIGEST: optimized.digest}


def weight_files(plan: RepositoryPlan, tree: Tree, found: TreeDigest) -> list[LayerFile]:
    """Return the files of the weights layer."""
    return _layer_files(plan.layout.weights, tree, found)


def new_weight_files(layout: Layout, tree: Tree) -> list[LayerFile]:
    """Return the files of the weights layer, none of which was hashed yet.

    Raises:
        CannotStream: some of those go elsewhere, or nowhere.

    """
    files = {file.name: file for file in tree.files}
    elsewhere = {file.name for file in tree.streamed} - {it.source for it in layout.weights}
    if elsewhere:
        raise CannotStream(f"{min(elsewhere)} is none of the weights")
    return [
        LayerFile(
            _path_in_image(place.target),
            files[place.source].stream or files[place.source].path,
            files[place.source].path.stat().st_size,
            is_new=True,
        )
        for place in layout.weights
    ]


def skeleton_paths(layout: Layout, tree: Tree) -> dict[str, Path]:
    """Return where streamed files leave what others look into, by their paths in the image."""
    paths = {file.name: file.path for file in tree.streamed}
    return {
        _path_in_image(place.target): paths[place.source]
        for place in layout.weights
        if place.source in paths
    }


def digests_by_source(layout: Layout, found: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of files by their names in the source, of those by paths in the image."""
    return {
        place.source: found[path]
        for place in layout.weights
        if (path := _path_in_image(place.target)) in found
    }


def configuration_files(plan: RepositoryPlan, tree: Tree, found: TreeDigest) -> list[LayerFile]:
    """Return the files of the configuration layer."""
    config = make_text_file(_path_in_image(plan.config_target), plan.config)
    return [*_layer_files(plan.layout.extras, tree, found), config]


def empty_folders(plan: RepositoryPlan) -> list[str]:
    """Return the version directories without files, which are in the configuration layer."""
    return [_path_in_image(folder) for folder in plan.layout.folders]


def configuration_digest(plan: RepositoryPlan, layer: Layer) -> str:
    """Return the digest of the configuration: of its layer, and of where the weights go."""
    places = [[place.source, place.target] for place in plan.layout.weights]
    return _sha256_digest(_canonical_json([layer.digest, places]))


def append_layers(
    bases: Sequence[BaseImage],
    layers: Mapping[str, Layer],
    inputs: ImageInputs,
    *,
    model: str,
    version: str,
    more: Mapping[str, str] | None = None,
) -> ModelImage:
    """Return the documents of the base images with `layers` on top.

    `version` is the first version with these inputs; a later one finds this image and reuses it.
    `more` are further annotations, for people.
    """
    name = {BASE_NAME: bases[0].reference.name} if inputs.base_digest is not None else {}
    described = {
        **inputs.annotations,
        **name,
        IMAGE_VERSION: version,
        "org.opencontainers.image.title": model,
    }
    noted = {**(more or {}), **described}

    configs = tuple(
        _canonical_json(_image_config(base.config, layers, described)) for base in bases
    )
    manifests = tuple(
        _make_manifest(base, config, layers, noted)
        for base, config in zip(bases, configs, strict=True)
    )
    if len(bases) == 1:
        return ModelImage(manifests, configs)

    entries = [
        {
            **_make_descriptor(manifest.media_type, manifest.digest, len(manifest.data)),
            "platform": {"architecture": base.architecture, "os": "linux"},
        }
        for base, manifest in zip(bases, manifests, strict=True)
    ]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": entries,
        "annotations": noted,
    }
    return ModelImage(manifests, configs, Document(_canonical_json(index), OCI_INDEX))


def without_files(base: BaseImage) -> BaseImage:
    """Return an image for the same architecture that has nothing in it."""
    config = {"architecture": base.architecture or "amd64", "os": "linux"}
    return replace(base, layers=(), config=config)


def _make_manifest(
    base: BaseImage, config: bytes, layers: Mapping[str, Layer], annotations: Mapping[str, str]
) -> Document:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _make_descriptor(OCI_CONFIG, _sha256_digest(config), len(config)),
        "layers": [
            *base.layers,
            *(_make_descriptor(OCI_LAYER, layer.digest, layer.size) for layer in layers.values()),
        ],
        "annotations": annotations,
    }
    return Document(_canonical_json(manifest), OCI_MANIFEST)


def _image_config(
    base: Manifest, layers: Mapping[str, Layer], labels: Mapping[str, str]
) -> Manifest:
    inner = base.get("config") or {}
    rootfs = base.get("rootfs") or {"type": "layers", "diff_ids": []}
    steps = [{"created": EPOCH, "created_by": f"slipway package: {name}"} for name in layers]
    return {
        **base,
        "created": EPOCH,
        "config": {**inner, "Labels": {**(inner.get("Labels") or {}), **labels}},
        "history": [*(base.get("history") or []), *steps],
        "rootfs": {
            **rootfs,
            "diff_ids": [*rootfs["diff_ids"], *(layer.digest for layer in layers.values())],
        },
    }


def _layer_files(
    placements: tuple[Placement, ...], tree: Tree, found: TreeDigest
) -> list[LayerFile]:
    known = {file.name: file for file in found.files}
    return [
        LayerFile(
            _path_in_image(place.target),
            tree[place.source],
            known[place.source].size,
            None if tree.is_private else known[place.source].sha256,
        )
        for place in placements
    ]


def _path_in_image(target: str) -> str:
    return f"{MODEL_ROOT.strip('/')}/{target}"


def _make_descriptor(media_type: str, digest: str, size: int) -> Manifest:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _canonical_json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _sha256_digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
