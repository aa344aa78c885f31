"""Asks, before anything is packaged to be mounted, whether the cluster can mount it."""

from dataclasses import replace

from slipway.api.modeldeployment import PackagingMode
from slipway.errors import DependencyError
from slipway.policy.facts import Facts
from slipway.policy.image_volumes import refuse_volumes
from slipway.reconcile.ports import Cluster


async def with_cluster_version(facts: Facts, cluster: Cluster) -> Facts:
    """Return the facts with the API server's version, where the answer decides something.

    Whatever the API server does not say, or not now, holds nothing up.
    """
    packaging = facts.spec.packaging
    is_mounted = packaging is not None and packaging.mode is PackagingMode.VOLUME
    if not is_mounted or facts.wanted is not None or facts.spec_error is not None:
        return facts
    try:
        version = await cluster.version()
    except DependencyError:
        return facts
    return replace(facts, cluster_version=version, spec_error=refuse_volumes(version))
