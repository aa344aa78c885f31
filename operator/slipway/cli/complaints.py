"""kubectl's complaints → sentences with the next command to try. Pure."""

from slipway.api.names import GROUP
from slipway.cli.problems import Exit, Problem

UNREACHABLE = (
    "the connection to the server",
    "unable to connect to the server",
    "no such host",
    "i/o timeout",
    "connection refused",
    "connection lost",
    "connection reset",
    "unexpected eof",
    "unable to decode an event",
)
UNKNOWN_CONTEXT = ("context was not found", "no context exists", "does not exist")


class NotFound(Problem):
    """The API server knows no such object."""


def complaint(stderr: str) -> Problem:
    """Return what kubectl's standard error means."""
    said = last_words(stderr)
    low = said.lower()
    if "(notfound)" in low:
        return NotFound(said, Exit.NOT_FOUND)
    if "have a resource type" in low or "no matches for kind" in low:
        return Problem(
            "this cluster knows no ModelDeployments: Slipway is not installed there",
            hint="kubectl config current-context; helm upgrade --install slipway charts/slipway",
        )
    if "admission" in low or "validatingadmissionpolicy" in low:
        return Problem(f"the API server refused the change: {said}")
    if "(forbidden)" in low:
        return Problem(f"you may not do that: {said}", hint=_can_i(low))
    if "(unauthorized)" in low or "must be logged in" in low:
        return Problem(f"the cluster does not know you: {said}", hint="kubectl auth whoami")
    if any(words in low for words in UNREACHABLE):
        return Problem(
            f"the cluster does not answer: {said}", hint="kubectl cluster-info", passes=True
        )
    if any(words in low for words in UNKNOWN_CONTEXT) and "context" in low:
        return Problem(f"kubectl: {said}", hint="kubectl config get-contexts")
    return Problem(f"kubectl: {said or 'failed without a word'}")


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
