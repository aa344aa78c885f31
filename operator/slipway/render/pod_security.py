"""Who the containers of a pod run as.

Pods keep the restricted Pod Security Standard. Platforms that choose users themselves (OpenShift's
restricted-v2 gives each namespace a range) refuse a pod that names one, so there it names none.
"""

from slipway.api.base import Manifest
from slipway.settings import PodUsers


def render_pod_security(user: int, users: PodUsers, *, owns_volumes: bool = False) -> Manifest:
    """Return a pod's security context.

    Args:
        user: number of the user and group that the images are made for.
        users: who chooses the numbers.
        owns_volumes: the group owns the pod's volumes, which its containers share.

    """
    context: Manifest = {"runAsNonRoot": True}
    if users is PodUsers.SLIPWAY:
        context |= {"runAsUser": user, "runAsGroup": user}
        if owns_volumes:
            context["fsGroup"] = user
    return {**context, "seccompProfile": {"type": "RuntimeDefault"}}
