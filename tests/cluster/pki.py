"""Certificates of the node: one authority, one certificate per identity, by the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import settings
from tests.cluster.errors import ClusterError

DAYS = "3650"
_CONFIG = "[req]\ndistinguished_name = dn\n[dn]\n"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a certificate speaks for; also the name of its files."""

    name: str
    subject: str
    """As openssl writes it; O is the Kubernetes group, CN the user."""
    addresses: tuple[str, ...] = ()
    """Names it may serve under, for instance `IP:127.0.0.1`; none for a mere client."""


IDENTITIES = (
    Identity(
        "apiserver",
        "/CN=kube-apiserver",
        (
            "DNS:localhost",
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            f"DNS:kubernetes.default.svc.{settings.DOMAIN}",
            "IP:127.0.0.1",
            f"IP:{settings.API_SERVICE}",
            f"IP:{settings.NODE_ADDRESS}",
        ),
    ),
    Identity(
        "kubelet",
        f"/O=system:nodes/CN=system:node:{settings.NODE}",
        (f"DNS:{settings.NODE}", f"IP:{settings.NODE_ADDRESS}"),
    ),
    Identity(
        "metrics-server",
        "/CN=system:metrics-server",
        ("DNS:metrics-server.kube-system.svc", f"IP:{settings.NODE_ADDRESS}"),
    ),
    Identity("admin", "/O=system:masters/CN=admin"),
    Identity("apiserver-kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client"),
    Identity("controller-manager", "/CN=system:kube-controller-manager"),
    Identity("scheduler", "/CN=system:kube-scheduler"),
    Identity("proxy", "/CN=system:kube-proxy"),
    Identity("coredns", "/CN=system:coredns"),
    Identity("enforcer", "/CN=system:network-policies"),
    Identity("front-proxy", "/CN=front-proxy"),
)
"""The subjects are those that the API server's built-in roles are bound to."""


def issue_certificates(directory: Path) -> None:
    """Make the authority, every identity's pair and the key that signs ServiceAccount tokens."""
    directory.mkdir(parents=True, mode=0o700)
    config = directory / "openssl.cnf"
    config.write_text(_CONFIG)
    _openssl(directory, _authority())
    for identity in IDENTITIES:
        _openssl(directory, _certificate(identity))
    key = "service-accounts.key"
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    _openssl(directory, ("genpkey", *curve, "-out", key))
    _openssl(directory, ("pkey", "-in", key, "-pubout", "-out", "service-accounts.pub"))


def _authority() -> tuple[str, ...]:
    usage = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")
    files = ("-keyout", "ca.key", "-out", "ca.crt")
    return (*_request(f"/CN={settings.STATE.name}"), *usage, *files)


def _certificate(identity: Identity) -> tuple[str, ...]:
    usage = "extendedKeyUsage=clientAuth" + (",serverAuth" if identity.addresses else "")
    extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=digitalSignature", usage]
    if identity.addresses:
        extensions.append("subjectAltName=" + ",".join(identity.addresses))
    added = tuple(word for extension in extensions for word in ("-addext", extension))
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key")
    files = ("-keyout", f"{identity.name}.key", "-out", f"{identity.name}.crt")
    return (*_request(identity.subject), *added, *signed, *files)


def _request(subject: str) -> tuple[str, ...]:
    common = ("-config", "openssl.cnf", "-days", DAYS, "-subj", subject)
    return ("req", "-x509", *_NEW_KEY, *common)


def _openssl(directory: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ClusterError(f"openssl {' '.join(arguments)} failed: {done.stderr.strip()}")
