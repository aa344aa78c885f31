"""The ModelDeployment that is applied: six lines that are worth learning, and some for the try."""

from slipway.api.names import API_VERSION

from tests.kubectl import Manifest

NAMESPACE = "slipway-try"
DEFAULT_NAME = "mine"
FIRST = 1


def render_six_lines(name: str, namespace: str, version: str, uri: str) -> str:
    """Return the YAML that serves a model."""
    return f"""\
apiVersion: {API_VERSION}
kind: ModelDeployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  model: {{version: "{version}",
          source: {{uri: "{uri}"}}}}
"""


FOR_THE_TRY = """\
  # For the try only: two steps and a bake of 10 s instead of 600 s, and a tolerance for a machine
  # that carries cluster, models and clients at once. Leave it out, and the defaults decide.
  rollout:
    steps: [{weight: 20, holdSeconds: 5}, {weight: 50, holdSeconds: 5}]
    bakeSeconds: 10
    shadow: {mode: "Off"}
    analysis: {intervalSeconds: 1, warmUpSeconds: 5, tolerance: {absolute: 0.05}}
"""
"""Goes on with `spec` of the six lines."""


def next_version(found: Manifest | None) -> str:
    """Return one more than the highest number that the object has or had as its version."""
    if found is None:
        return str(FIRST)
    history = found.get("status", {}).get("history", [])
    versions = [found["spec"]["model"]["version"], *(entry["version"] for entry in history)]
    numbers = [int(version) for version in versions if version.isdecimal()]
    return str(max(numbers, default=FIRST - 1) + 1)


def stable_version(found: Manifest | None) -> str:
    """Return the version that answers requests; empty: none does."""
    stable = found.get("status", {}).get("stable") if found else None
    return str(stable["version"]) if stable else ""


def under_way(found: Manifest | None) -> str:
    """Return the version that has not ended yet, which the next one takes the place of."""
    candidate = found.get("status", {}).get("candidate") if found else None
    return str(candidate["version"]) if candidate else ""
