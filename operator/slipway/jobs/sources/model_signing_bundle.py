"""The one place that uses the library model-signing; imported where a signature is verified.

What belongs here: keys, bundles, and digests in the library's terms. It brings much with it, so
nothing imports this module at its top.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from cryptography.hazmat.primitives import serialization
from model_signing import hashing, manifest, verifying
from model_signing._hashing.hashing import Digest  # the public modules take it and do not offer it


class FilesDiffer(Exception):
    """The signature is true, and these are not the files that it names."""

    def __init__(self, found: Mapping[str, str]) -> None:
        """Take the digests that were compared, by name."""
        super().__init__("the files are not those that were signed")
        self.found = found


class _KnownDigests(hashing.Config):
    """Files that were hashed before."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """Take digests of 64 hex digits by the names of the files."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.digests = dict(digests)
        self.is_asked = False

    def add_ignored_paths(
        self, *, model_path: hashing.PathLike, paths: Iterable[hashing.PathLike]
    ) -> None:
        """Leave out what the signature sets aside; it says so itself, so it can be believed."""
        del model_path
        aside = [PurePosixPath(str(path)) for path in paths]
        self.digests = {
            name: digest
            for name, digest in self.digests.items()
            if not any(PurePosixPath(name).is_relative_to(path) for path in aside)
        }

    def hash(
        self,
        model_path: hashing.PathLike,
        *,
        files_to_hash: Iterable[hashing.PathLike] | None = None,
    ) -> manifest.Manifest:
        """Return the digests in the library's terms."""
        del model_path, files_to_hash
        self.is_asked = True
        kind = manifest.SerializationType.from_args(
            {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
        )
        items = [
            kind.new_item(name, Digest("sha256", bytes.fromhex(digest)))
            for name, digest in self.digests.items()
        ]
        return manifest.Manifest("model", items, kind)


def fingerprint(key: Path) -> str:
    """Return ``sha256:…`` of a public key's PEM text, as the bundle's hint has it.

    Raises:
        ValueError, TypeError, UnsupportedAlgorithm: it is no public key.

    """
    text = serialization.load_pem_public_key(key.read_bytes()).public_bytes(
        encoding=serialization.Encoding.PEM,
        format=serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def verify_digests(key: Path, bundle: Path, digests: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the signed files.

    Args:
        key: a public key.
        bundle: the signature.
        digests: sha256 of all files, 64 hex digits, by their names.

    Raises:
        InvalidSignature: the bundle is not what the key's owner signed.
        FilesDiffer: it is, and there are other files than it names.
        ValueError, KeyError, TypeError, LookupError, AttributeError: it is no bundle.

    """
    known = _KnownDigests(digests)
    config = verifying.Config()  # type: ignore[no-untyped-call]
    config.use_elliptic_key_verifier(public_key=key)
    config.set_hashing_config(known)
    try:
        config.verify(bundle.parent, bundle)
    except ValueError as error:
        # The library asks for the digests only once it has verified what they are compared with.
        if known.is_asked:
            raise FilesDiffer(known.digests) from error
        raise
    return frozenset(known.digests)
