"""kubectl's standard error → one sentence and the next command to try. Pure."""

from slipway.api.names import GROUP
from slipway.cli.cli_error import CliError, ExitCode, Transient

UNREACHABLE = (
    "the connection to the server",
    "unable to connect to the server",
    "no such host",
    "no route to host",
    "network is unreachable",
    "temporary failure in name resolution",
    "server misbehaving",
    "i/o timeout",
    "handshake timeout",
    "context deadline exceeded",
    "client.timeout exceeded",
    "connection refused",
    "connection lost",
    "connection reset",
    "broken pipe",
    "stream error",
    "goaway",
    "unexpected eof",
    ": eof",
    "unable to decode an event",
)
"""The API server does not answer: it is down or starting."""
BUSY = (
    "(serviceunavailable)",
    "currently unable to handle the request",
    "service unavailable",
    "etcdserver:",
    "leader changed",
    "(timeout)",
    "(servertimeout)",
    "(toomanyrequests)",
    "too many requests",
    "(internalerror)",
    "an error on the server",
    "apiserver not ready",
    "shutting down",
    "(expired)",
    "(gone)",
    "too old resource version",
)
"""The API server answers, but cannot serve the request now."""
UNKNOWN_CONTEXT = ("context was not found", "no context exists", "does not exist")
PREFIXES = (
    "error: ",
    "Error in configuration: ",
    "Error from server (Forbidden): ",
    "Error from server (Unauthorized): ",
)
"""What kubectl writes before a failure, and this program says in its own words."""
VERBS = ("patch", "watch", "list", "get")


class NotFound(CliError):
    """The API server has no such object."""


def explain_failure(stderr: str) -> CliError:
    """Return what kubectl's standard error means."""
    text = failure_text(stderr)
    low = text.lower()

    if "(notfound)" in low:
        return NotFound(_without_prefix(text), ExitCode.NOT_FOUND)
    if "admission" in low:
        denied = f"the API server denied the change: {_without_prefix(text)}"
        return CliError(denied, hint="kubectl auth whoami")
    return (
        _missing_api_or_rights(text, low)
        or _unreachable_or_busy(text, low)
        or _unknown_failure(text, low)
    )


def _missing_api_or_rights(text: str, low: str) -> CliError | None:
    """Return a failure that an API server also reports for a moment after it has started."""
    if "have a resource type" in low or "no matches for kind" in low:
        return CliError(
            "this cluster has no ModelDeployment API: Slipway is not installed, or the API server "
            "has just started",
            hint="kubectl config current-context; helm upgrade --install slipway charts/slipway",
            transient=Transient.BRIEFLY,
        )

    if "(forbidden)" in low:
        return CliError(
            f"forbidden: {_without_prefix(text)}",
            hint=_auth_check(low),
            transient=Transient.BRIEFLY,
        )

    if "(unauthorized)" in low or "must be logged in" in low:
        return CliError(
            f"not authenticated: {_without_prefix(text)}",
            hint="kubectl auth whoami",
            transient=Transient.BRIEFLY,
        )
    return None


def _unreachable_or_busy(text: str, low: str) -> CliError | None:
    hint = "kubectl cluster-info"
    message = _without_prefix(text)
    if any(words in low for words in UNREACHABLE):
        return CliError(f"cannot reach the cluster: {message}", hint=hint, transient=Transient.YES)
    if any(words in low for words in BUSY):
        return CliError(f"the cluster is busy: {message}", hint=hint, transient=Transient.YES)
    return None


def _unknown_failure(text: str, low: str) -> CliError:
    message = _without_prefix(text)
    if any(words in low for words in UNKNOWN_CONTEXT) and "context" in low:
        return CliError(f"kubectl: {message}", hint="kubectl config get-contexts")
    return CliError(
        f"kubectl: {message or 'failed without a message'}",
        hint=f"kubectl get modeldeployments.{GROUP} -v=6",
    )


def failure_text(stderr: str) -> str:
    """Return what kubectl says, without its log lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith(("E0", "E1", "W0", "W1", "I0", "I1"))]
    return " ".join(plain or lines[-1:])


def _without_prefix(text: str) -> str:
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    return text


def _auth_check(low: str) -> str:
    verb = next((verb for verb in VERBS if f"cannot {verb}" in low), "get")
    return f"kubectl auth can-i {verb} modeldeployments.{GROUP}"
