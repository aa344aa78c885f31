"""kubectl's complaints → sentences with the next command to try. Pure."""

from slipway.api.names import GROUP
from slipway.cli.problems import Exit, Passing, Problem

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
"""It does not answer: it is away, or starts."""
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
"""It answers, but not now."""
UNKNOWN_CONTEXT = ("context was not found", "no context exists", "does not exist")


class NotFound(Problem):
    """The API server knows no such object."""


def complaint(stderr: str) -> Problem:
    """Return what kubectl's standard error means."""
    said = last_words(stderr)
    low = said.lower()
    if "(notfound)" in low:
        return NotFound(said, Exit.NOT_FOUND)
    if "admission" in low:
        return Problem(f"the API server refused the change: {said}", hint="kubectl auth whoami")
    return _rights(said, low) or _passing(said, low) or _other(said, low)


def _rights(said: str, low: str) -> Problem | None:
    """Return what is meant when it goes on, and said for a moment by one that has just started."""
    if "have a resource type" in low or "no matches for kind" in low:
        return Problem(
            "this cluster knows no ModelDeployments: Slipway is not installed there, or the API "
            "server has just started",
            hint="kubectl config current-context; helm upgrade --install slipway charts/slipway",
            passes=Passing.SOON,
        )
    if "(forbidden)" in low:
        return Problem(f"you may not do that: {said}", hint=_can_i(low), passes=Passing.SOON)
    if "(unauthorized)" in low or "must be logged in" in low:
        return Problem(
            f"the cluster does not know you: {said}",
            hint="kubectl auth whoami",
            passes=Passing.SOON,
        )
    return None


def _passing(said: str, low: str) -> Problem | None:
    hint = "kubectl cluster-info"
    if any(words in low for words in UNREACHABLE):
        return Problem(f"the cluster does not answer: {said}", hint=hint, passes=Passing.YES)
    if any(words in low for words in BUSY):
        return Problem(f"the cluster cannot answer now: {said}", hint=hint, passes=Passing.YES)
    return None


def _other(said: str, low: str) -> Problem:
    if any(words in low for words in UNKNOWN_CONTEXT) and "context" in low:
        return Problem(f"kubectl: {said}", hint="kubectl config get-contexts")
    return Problem(
        f"kubectl: {said or 'failed without a word'}",
        hint=f"kubectl get modeldeployments.{GROUP} -v=6",
    )


def last_words(stderr: str) -> str:
    """Return what kubectl said, without its log lines and prefixes."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    spoken = [line for line in lines if not line.startswith(("E0", "E1", "W0", "W1", "I0", "I1"))]
    text = " ".join(spoken or lines[-1:])
    for prefix in ("error: ", "Error in configuration: "):
        text = text.removeprefix(prefix)
    return text


def _can_i(low: str) -> str:
    verb = next((verb for verb in ("patch", "watch", "list", "get") if f"cannot {verb}" in low), "")
    return f"kubectl auth can-i {verb or 'get'} modeldeployments.{GROUP}"
