"""The kinds that Slipway reads or writes, and where the API server has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.api import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def type_meta(self) -> dict[str, str]:
        """``apiVersion`` and ``kind``, which begin every manifest and reference."""
        return {"apiVersion": self.api_version, "kind": self.kind}

    def manifest(
        self,
        namespace: str | None,
        name: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        **content: Any,
    ) -> dict[str, Any]:
        """Return an object of this kind; `metadata` has what else belongs there."""
        place = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
        return {**self.type_meta, "metadata": {**place, **(metadata or {})}, **content}

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """Return the URL path of the collection, the object or its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, sub) if part is not None]
        return "/" + "/".join(parts)


MODEL_DEPLOYMENT = Kind(
    names.GROUP, names.DEPRECATED_VERSION, "modeldeployments", "ModelDeployment"
)
MODEL_ROUTE = Kind(names.GROUP, names.DEPRECATED_VERSION, "modelroutes", "ModelRoute")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
JOB = Kind("batch", "v1", "jobs", "Job")
POD = Kind("", "v1", "pods", "Pod")
SERVICE = Kind("", "v1", "services", "Service")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
EVENT = Kind("", "v1", "events", "Event")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
HORIZONTAL_POD_AUTOSCALER = Kind(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"
)
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GRPC_ROUTE = Kind("gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute")
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
"""Only where the cluster has Gateway API; read, never written."""
SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
"""KEDA's; asked for and not watched, since its CRD may be missing."""
POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
"""What pods use; only where the cluster has a metrics server."""
SECRET = Kind("", "v1", "secrets", "Secret")
"""Only agents of routers read them, and only those that somebody lets them read."""
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
"""The same."""
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

WATCHED = (
    MODEL_DEPLOYMENT,
    MODEL_ROUTE,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    JOB,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
)
"""Kinds that the operator watches; all but the first two only with our managed-by label."""

GATEWAY_ROUTES = (HTTP_ROUTE, GRPC_ROUTE)
"""Only where the cluster has Gateway API: looked at, and not watched."""

BY_NAME = {
    kind.kind: kind
    for kind in (
        *WATCHED,
        EVENT,
        ROLE,
        ROLE_BINDING,
        NETWORK_POLICY,
        ENDPOINT_SLICE,
        LEASE,
        *GATEWAY_ROUTES,
        SCALED_OBJECT,
    )
}
