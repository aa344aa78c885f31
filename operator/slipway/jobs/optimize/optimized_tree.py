"""What a conversion gives; apart from the conversion, which only one image can import."""

from dataclasses import dataclass

from slipway.api.precision import Optimized
from slipway.jobs.file_tree import Tree
from slipway.jobs.model_digest import TreeDigest


@dataclass(frozen=True, slots=True)
class OptimizedTree:
    """The files that are served."""

    tree: Tree
    digest: TreeDigest
    report: Optimized
