"""Writing the model repository into a directory, as the init container of Fetch mode does."""

import hashlib
import os
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree
from slipway.jobs.model_digest import TreeDigest, read_blocks
from slipway.jobs.package.python_environment import file_mode
from slipway.jobs.package.repository_plan import RepositoryPlan
from slipway.jobs.sources.archive import make_empty_directory


def write_repository(plan: RepositoryPlan, tree: Tree, found: TreeDigest, into: Path) -> None:
    """Write the model repository below `into`.

    Private files are moved, so that a model takes its space only once. Files of a claim are copied
    and verified while they are, because the claim may change.

    Raises:
        JobFailure: SourceChanged, which is transient: a file is no longer what was hashed.

    """
    hashes = {file.name: file.sha256 for file in found.files}
    targets = [*(placement.target for placement in plan.layout.weights), *plan.layout.folders]
    for model in {target.partition("/")[0] for target in targets}:
        make_empty_directory(into / model)
    for folder in plan.layout.folders:
        (into / folder).mkdir(parents=True)

    for placement in (*plan.layout.weights, *plan.layout.extras):
        target = into / placement.target
        target.parent.mkdir(parents=True, exist_ok=True)
        source = tree[placement.source]
        if tree.is_private:
            source.rename(target)
            target.chmod(file_mode(placement.target))
        else:
            _copy_verified(source, target, hashes[placement.source])

    (into / plan.config_target).write_text(plan.config)


def _copy_verified(source: Path, target: Path, sha256: str) -> None:
    hasher = hashlib.sha256()
    with target.open("wb") as file:
        for block in read_blocks(source):
            hasher.update(block)
            file.write(block)
        os.fchmod(file.fileno(), file_mode(target.name))
    if hasher.hexdigest() != sha256:
        raise JobFailure(
            Reason.SOURCE_CHANGED,
            f"source: {source} changed while it was being copied",
            transient=True,
        )
