"""Traffic: how clients reach the model."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel
from slipway.api.modeldeployment.packaging import LocalSecret
from slipway.api.modelroute import HeaderMatch, TLSVersion


class RouterKind(StrEnum):
    """What splits the traffic."""

    AUTO = "Auto"
    """The same as Builtin."""
    BUILTIN = "Builtin"
    """The router of the namespace: Envoy, run by Slipway."""


class Plaintext(StrEnum):
    """What becomes of connections without TLS, where there is a certificate."""

    REFUSED = "Refused"
    """They are closed."""
    ALLOWED = "Allowed"
    """The same ports take them too, so that clients can move one by one."""


class Traffic(ApiModel):
    """How clients reach the model."""

    router: RouterKind = RouterKind.AUTO
    """What splits the traffic; Auto and Builtin are the same."""
    candidate_header: HeaderMatch | None = None
    """Header that sends a request to the candidate once its checks have passed. Default: none."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout in seconds; 0 means none."""
    tls_secret_ref: LocalSecret | None = None
    """Secret of type kubernetes.io/tls, as cert-manager writes it. With it both ports of the
    Service speak TLS, with HTTP/1.1, HTTP/2 and gRPC. The ServiceAccount slipway-router needs the
    right to list and watch that Secret. Default: none, no TLS."""
    tls_min_version: TLSVersion = TLSVersion.TLS_1_2
    """Lowest version of TLS that clients may speak."""
    plaintext: Plaintext = Plaintext.REFUSED
    """Whether the same ports also take connections without TLS, where there is a certificate."""

    @property
    def needs_newest_agent(self) -> bool:
        """Whether an agent of an earlier release would leave open what this closes."""
        return self.tls_secret_ref is not None
