"""Certificates and authorities of tests, and the Secrets that hold them."""

import base64
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from slipway.agent.key_sets import KeySetAddress, KeySetContent
from slipway.agent.secrets import SecretContent

SERVICE = "digits.vision.svc"


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def secret(self) -> dict[str, bytes]:
        """Return what a Secret of type kubernetes.io/tls holds."""
        return {"tls.crt": self.pem, "tls.key": self.key_pem}


@dataclass(frozen=True)
class Authority(Issued):
    """Issues certificates."""

    @classmethod
    def make(cls, name: str = "tests") -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = _builder(name, key, now - timedelta(days=1), now + timedelta(days=3650))
        builder = builder.issuer_name(_name(name)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    def issue(
        self,
        *hosts: str,
        now: datetime | None = None,
        days: float = 90,
        begins_in_days: float = -1,
        uri: str = "",
        subject: str = "digits",
    ) -> Issued:
        """Return a certificate for these hosts, `digits.vision.svc` by default."""
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        first, last = now + timedelta(days=begins_in_days), now + timedelta(days=days)
        first = min(first, last - timedelta(seconds=1))
        names = [_general_name(host) for host in hosts or (SERVICE, "127.0.0.1")]
        names += [x509.UniformResourceIdentifier(uri)] if uri else []
        builder = _builder(subject, key, first, last).issuer_name(self.certificate.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key)

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """Return how a server on 127.0.0.1 shows a certificate; its file is left in the folder."""
        issued, file = self.issue("127.0.0.1"), folder / "server.pem"
        file.write_bytes(issued.pem + issued.key_pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        return context

    def revoke(
        self,
        *issued: Issued,
        now: datetime | None = None,
        days: float = 30,
        since_days: float = 0,
    ) -> bytes:
        """Return the list of revoked certificates, in PEM, which a newer one follows in `days`."""
        now = now or datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - timedelta(days=since_days))
            .next_update(now + timedelta(days=days))
        )
        for each in issued:
            revoked = x509.RevokedCertificateBuilder().revocation_date(now)
            number = each.certificate.serial_number
            builder = builder.add_revoked_certificate(revoked.serial_number(number).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _general_name(host: str) -> x509.GeneralName:
    is_address = host.replace(".", "").isdigit()
    return x509.IPAddress(ip_address(host)) if is_address else x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: str, key: ec.EllipticCurvePrivateKey, first: datetime, last: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
    )


def encode(data: Mapping[str, bytes]) -> dict[str, str]:
    """Return the values as a Secret's manifest has them."""
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


@dataclass
class FakeSecrets:
    """Secrets without an API server; one that was not put is not known yet."""

    found: dict[str, SecretContent] = field(default_factory=dict)
    followed: frozenset[str] = frozenset()

    def put(self, name: str, data: Mapping[str, bytes] | None) -> None:
        self.found[name] = SecretContent(is_known=True, data=data)

    def follow(self, names: Collection[str]) -> None:
        self.followed = frozenset(names)

    def get(self, name: str) -> SecretContent:
        assert name in self.followed
        return self.found.get(name, SecretContent())


@dataclass
class FakeKeySets:
    """Key sets without any source; one that was not put is not known yet."""

    found: dict[KeySetAddress, KeySetContent] = field(default_factory=dict)
    followed: frozenset[KeySetAddress] = frozenset()

    def follow(self, sources: Collection[KeySetAddress]) -> None:
        self.followed = frozenset(sources)

    def get(self, source: KeySetAddress) -> KeySetContent:
        assert source in self.followed
        return self.found.get(source, KeySetContent())
