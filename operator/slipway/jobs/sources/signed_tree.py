"""Whether the files of a source are those that a key's owner signed, by a bundle of model-signing.

The files were hashed once already, so the library gets the digests instead of reading them again.
What the signature sets aside, as it does with `.git`, is not signed and so is left out.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slipway.api.names import GROUP
from slipway.api.reasons import Reason, shortened
from slipway.api.request import KEY_FILE, VerifyRequest
from slipway.api.result import SignedFile, SignedFiles
from slipway.jobs.file_tree import Tree
from slipway.jobs.http import Backoff
from slipway.jobs.model_digest import TreeDigest
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.archive import make_empty_directory
from slipway.jobs.sources.fetch import fetch_source

SIGNER = f"{GROUP}/signer"
SIGNER_KEY = f"{GROUP}/signer-key"
SIGNED_FILES = f"{GROUP}/signed-files"

MAX_BUNDLE_BYTES = 32 * 2**20
"""Some 200,000 files."""
MAX_REPORTED_BYTES = 700
"""Names and digests in the result of a Job, which has 3,500 bytes for everything."""
MAX_REPORTED_FILES = 16
MAX_ANNOTATION_BYTES = 64 * 2**10
MAX_PROBLEM = 300
"""Characters of what the library says."""
MOST_NAMED = 3
"""Files that a message names."""
DIGEST_BYTES = 90
"""What a digest and the JSON around it add to a name."""
WHOLE_MODEL = "."
"""Name of the file in the signature of a single file."""


@dataclass(frozen=True, slots=True)
class SignedTree:
    """Files whose signature was verified."""

    tree: Tree
    """The signed files, and no other."""
    signer: str
    """``sha256:…`` of the public key's PEM text."""
    key: str
    """Where the key was found."""
    digests: Mapping[str, str]
    """``sha256:…`` of all signed files by their names."""

    @property
    def report(self) -> SignedFiles:
        """What a status holds: the first files, as far as there is room."""
        listed = _first_that_fit(self.digests, MAX_REPORTED_BYTES)[:MAX_REPORTED_FILES]
        return SignedFiles(
            signer=self.signer,
            key=self.key,
            count=len(self.digests),
            files=[SignedFile(name=name, digest=self.digests[name]) for name in listed],
        )

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of an image with these files."""
        listed = _first_that_fit(self.digests, MAX_ANNOTATION_BYTES)
        files = {name: self.digests[name] for name in listed}
        return {SIGNER: self.signer, SIGNER_KEY: self.key, SIGNED_FILES: json.dumps(files)}


def verify_signature(
    access: SourceAccess, tree: Tree, found: TreeDigest, scratch: Path, backoff: Backoff
) -> SignedTree:
    """Return the signed files of a source whose request has `verify`.

    Args:
        access: the source, and how to get at it.
        tree: its files.
        found: their digests.
        scratch: a writable directory.
        backoff: how patient to be where the bundle has an address of its own.

    Raises:
        JobFailure: SignatureInvalid, where the signature is missing, is of another key, or is not
            that of these files; SourceRefused, where the key is missing or is none; or what a
            source may raise, for a bundle with an address.

    """
    verify = access.request.verify
    if verify is None:
        raise ValueError("the request has no `verify`")

    folder = make_empty_directory(scratch / "signature")
    key = _provide_key(access, verify, folder)
    bundle = _provide_bundle(access, verify, tree, folder, backoff)
    known = {file.name: file.sha256 for file in found.files if _path_of(tree, file.name) != bundle}
    signer, signed = _check(access, verify, key, bundle, known)

    if not signed:
        raise access.failure(
            Reason.SIGNATURE_INVALID,
            f"signature {verify.bundle}: it covers no file, expected at least one",
        )

    kept = tuple(file for file in tree.files if file.name in signed)
    digests = {name: f"sha256:{known[name]}" for name in sorted(signed, key=str.encode)}
    return SignedTree(replace(tree, files=kept), signer, verify.holder, digests)


def _provide_key(access: SourceAccess, verify: VerifyRequest, folder: Path) -> Path:
    if verify.public_key is not None:
        path = folder / KEY_FILE
        path.write_text(verify.public_key)
        return path

    path = access.mounts.key / KEY_FILE
    if not path.is_file():
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"{access.field}.verify: found no {verify.holder} in the namespace, expected a public "
            "key there",
        )
    return path


def _provide_bundle(
    access: SourceAccess, verify: VerifyRequest, tree: Tree, folder: Path, backoff: Backoff
) -> Path:
    """Return the path of the bundle, in the source or fetched from its own address."""
    if "://" in verify.bundle:
        request = access.request.model_copy(
            update={
                "uri": verify.bundle,
                "digest": None,
                "verify": None,
                "allow_plain_http": True,  # who changes it on the way has no key
                "max_bytes": MAX_BUNDLE_BYTES,
            }
        )
        into = make_empty_directory(folder / "bundle")
        field = f"{access.field}.verify"
        path = fetch_source(request, into, access.mounts, backoff, field=field).files[0].path
    else:
        path = _path_of(tree, verify.bundle) or folder / "none"

    if not path.is_file():
        raise access.failure(
            Reason.SIGNATURE_INVALID,
            f"{access.field}.verify: found no signature {verify.bundle!r} among "
            f"{len(tree.files)} files, expected one: sign the model, or set verify.bundle",
        )
    if path.stat().st_size > MAX_BUNDLE_BYTES:
        raise access.failure(
            Reason.SIGNATURE_INVALID,
            f"signature {verify.bundle}: found {path.stat().st_size} bytes, expected "
            f"{MAX_BUNDLE_BYTES} or fewer",
        )
    return path


def _check(
    access: SourceAccess, verify: VerifyRequest, key: Path, bundle: Path, known: Mapping[str, str]
) -> tuple[str, frozenset[str]]:
    """Return the signer's fingerprint, and the names of the signed files."""
    # They take time and memory that only a signed model has.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415

    from slipway.jobs.sources import model_signing_bundle as signing  # noqa: PLC0415

    try:
        signer = signing.fingerprint(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise access.failure(
            Reason.SOURCE_REFUSED,
            f"{access.field}.verify: {verify.holder} is no public key that can be used: {error}; "
            "expected P-256, P-384 or P-521 as PEM",
        ) from error

    what = f"signature {verify.bundle} by {verify.holder} ({signer[:19]})"
    if problem := _unusable_method(bundle):
        raise access.failure(Reason.SIGNATURE_INVALID, f"{what}: {problem}")
    try:
        is_whole = len(known) == 1 and list(_digests_in(bundle)) == [WHOLE_MODEL]
        names = {name: WHOLE_MODEL if is_whole else name for name in known}
        signed = signing.verify_digests(
            key, bundle, {names[name]: digest for name, digest in known.items()}
        )
    except signing.FilesDiffer as error:
        problem = _describe_difference(_digests_in(bundle), error.found)
        raise access.failure(Reason.SIGNATURE_INVALID, f"{what}: {problem}") from error
    except InvalidSignature as error:
        raise access.failure(
            Reason.SIGNATURE_INVALID,
            f"{what}: the bundle was changed after it was signed, or another key signed it",
        ) from error
    except (ValueError, KeyError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise access.failure(
            Reason.SIGNATURE_INVALID, f"{what}: {shortened(_one_line(error), MAX_PROBLEM)}"
        ) from error
    return signer, frozenset(name for name in known if names[name] in signed)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ValueError) else f"the bundle lacks a field: {text}"


def _path_of(tree: Tree, name: str) -> Path | None:
    return next((file.path for file in tree.files if file.name == name), None)


def _read_statement(bundle: Path) -> Any:
    """Return what a bundle says, before anybody knows whether it is true; for messages and names.

    None where it cannot be read, which the library then says.
    """
    try:
        envelope = json.loads(bundle.read_bytes())["dsseEnvelope"]
        return json.loads(b64decode(envelope["payload"]))["predicate"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _digests_in(bundle: Path) -> dict[str, str]:
    """Return the sha256 of the files that a bundle names; empty where it cannot be read."""
    try:
        resources = _read_statement(bundle)["resources"]
        return {str(item["name"]): str(item["digest"]) for item in resources}
    except (KeyError, TypeError):
        return {}


def _describe_difference(signed: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Return which files differ from what was signed: the first ones, and how many more."""
    names = sorted({*signed, *found}, key=str.encode)
    wrong = [
        f"{name!r} was signed and is missing"
        if name not in found
        else f"{name!r} was not signed"
        if name not in signed
        else f"{name!r} has sha256 {found[name]}, but {signed[name]} was signed"
        for name in names
        if signed.get(name) != found.get(name)
    ]
    more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
    return "; ".join(wrong[:MOST_NAMED]) + more


def _unusable_method(bundle: Path) -> str | None:
    statement = _read_statement(bundle)
    how = statement.get("serialization") if isinstance(statement, dict) else None
    if not isinstance(how, dict):
        return None
    method, algorithm = how.get("method"), how.get("hash_type")
    if (method, algorithm) == ("files", "sha256"):
        return None
    return (
        f"found {method} hashed with {algorithm}, expected files hashed with sha256, the default "
        "of model_signing"
    )


def _first_that_fit(digests: Mapping[str, str], limit: int) -> list[str]:
    fitting, used = [], 0
    for name in digests:
        used += len(json.dumps(name)) + DIGEST_BYTES
        if used > limit:
            break
        fitting.append(name)
    return fitting
