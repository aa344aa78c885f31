"""``kubectl slipway``: inspect and control rollouts, for people and for scripts.

What belongs here: the commands, the screens that they print, and the objects as they are read
through kubectl, which brings kubeconfig, credentials and proxies. What never does: a Kubernetes
client, a decision about a rollout, and heavy imports; pydantic alone would cost more than the
whole start may (docs/decisions/0011). Start reading at `main`, then a command and its view.
"""
