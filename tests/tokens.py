"""Tokens (JWT) and key sets of tests."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

AUDIENCE = "digits.vision.svc"


@dataclass
class Issuer:
    """Issues tokens, and says by which keys they are checked."""

    name: str = "https://issuer.example.org"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    key_id: str = "first"

    @property
    def public_key(self) -> dict[str, Any]:
        found: dict[str, Any] = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**found, "kid": self.key_id, "use": "sig", "alg": "ES256"}

    def key_set(self, *more: "Issuer") -> dict[str, Any]:
        return {"keys": [each.public_key for each in (self, *more)]}

    def rotated(self, key_id: str) -> "Issuer":
        return Issuer(self.name, key_id=key_id)

    def token(
        self,
        subject: str | None = "team-a",
        *,
        audience: str = AUDIENCE,
        seconds: float | None = 3600,
        begins_in: float = -5,
        **claims: Any,
    ) -> str:
        now = datetime.now(UTC).timestamp()
        said: dict[str, Any] = {"iss": self.name, "aud": audience, "nbf": now + begins_in}
        said |= {"exp": now + seconds} if seconds is not None else {}
        said |= {"sub": subject} if subject is not None else {}
        return jwt.encode({**said, **claims}, self.key, "ES256", headers={"kid": self.key_id})


def hash_key(key: str) -> bytes:
    """Return a key's hash as a Secret has it."""
    digest = hashlib.sha1(key.encode()).digest()  # noqa: S324 -- the form that Envoy compares
    return b"{SHA}" + base64.b64encode(digest)
