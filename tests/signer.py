"""Signs models with the library model-signing, as their owners do, with a key of the test."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing


@dataclass(frozen=True)
class Signer:
    """A key, and the model that it signs."""

    folder: Path

    @property
    def public(self) -> str:
        return (self.folder / "public.pem").read_text()

    def sign(self, model: Path, bundle: Path, how: hashing.Config | None = None) -> None:
        config = signing.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_signer(private_key=self.folder / "private.pem")
        ignored = hashing.Config() if how is None else how  # type: ignore[no-untyped-call]
        if how is None:
            ignored.set_ignored_paths(paths=[bundle], ignore_git_paths=True)
        config.set_hashing_config(ignored).sign(model, bundle)


def make_signer(folder: Path) -> Signer:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "private.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "public.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Signer(folder)
