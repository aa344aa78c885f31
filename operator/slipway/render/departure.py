"""How a router pod leaves its clients: what its pod's hooks and its agent have in common."""

LEAVE_SECONDS = 20
"""How long Envoy still serves after the pod is told to end, while clients move away."""
LONGEST_REQUEST_SECONDS = 120
"""How long what is in flight may take once the pod is told to end; then it is cut.

Kubernetes looks at a namespace that is deleted again after half of what its pods may take.
"""
IDLE_PATH = "/idle"
"""Where the agent answers once Envoy may end: the hook of Envoy's container waits for it."""
