"""The state directory: everything that the node reads, written before the node starts."""

import base64
import hashlib
import json
from pathlib import Path

from tests.cluster import config, image, inside, mountpoints, pki, settings
from tests.cluster.layout import Layout
from tests.cluster.owner import Owner
from tests.cluster.plan import Plan

_ADDONS = Path(__file__).with_name("addons.yaml")


def inputs(places: Layout, plan: Plan) -> str:
    """Return a digest of all that shapes a cluster: another digest is another cluster."""
    digest = hashlib.sha256(plan.to_json().encode())
    digest.update(json.dumps(config.render_files(places), sort_keys=True).encode())
    digest.update(repr((pki.IDENTITIES, settings.HOST_LINK, settings.CGROUP)).encode())
    for source in (_ADDONS, Path(inside.__file__)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def create(places: Layout, plan: Plan, clone: str) -> None:
    """Write the owner's record first, so that a start cut short can be cleared away."""
    places.state.mkdir(parents=True)
    Owner(clone, inputs(places, plan)).save(places.owner)
    mountpoints.make()
    for source, _ in plan.binds:
        Path(source).mkdir(parents=True)
    places.registry_storage.mkdir(parents=True, exist_ok=True)
    pki.issue_certificates(places.state / "pki")
    _write_config(places)
    pause = image.image_of_binary(places.pause_binary)
    places.pause_archive.write_bytes(image.make_archive(pause, config.PAUSE_IMAGE))
    places.plan.write_text(plan.to_json())


def _write_config(places: Layout) -> None:
    authority = base64.b64encode(Path(places.pki("ca.crt")).read_bytes()).decode()
    addons = config.render_addons(_ADDONS.read_text(), authority)
    for name, text in (config.render_files(places) | {"addons.yaml": addons}).items():
        path = Path(places.config(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
