"""A migration of what is stored, against an API server that others write to meanwhile."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from slipway.cli.cli_error import CliError
from slipway.cli.migration import CRDS, PASSES, Migration
from slipway.cli.stored_versions import storage_version_hash

VERSION = "v1beta1"


@dataclass
class ApiServer:
    """Takes kubectl's calls; it stores the version, and has one ModelDeployment."""

    writes: float
    """So often a patch of the object finds something to write."""
    refuses: bool = False
    patches: int = 0
    dropped: list[str] = field(default_factory=list)
    """CRDs whose other version was dropped."""

    def run(self, *words: str) -> str:
        assert words[:2] == ("get", "--raw")
        hashed = storage_version_hash(VERSION, "ModelDeployment")
        return json.dumps(
            {"resources": [{"name": "modeldeployments", "storageVersionHash": hashed}]}
        )

    def json(self, *words: str, namespace: str = "") -> dict[str, Any]:
        match words[:2]:
            case ("get", "crd"):
                versions = [
                    {"name": VERSION, "served": True, "storage": True},
                    {"name": "v1alpha1", "served": True, "storage": False},
                ]
                names = {"plural": "modeldeployments", "kind": "ModelDeployment"}
                stored = {"storedVersions": ["v1alpha1", VERSION]}
                metadata = {"name": words[2], "resourceVersion": "1"}
                spec = {"versions": versions, "names": names}
                return {"metadata": metadata, "spec": spec, "status": stored}
            case ("patch", "crd"):
                self.dropped.append(words[2])
                return {}
            case ("patch", _):
                if self.refuses:
                    raise CliError("denied by a policy")
                self.patches += self.patches < self.writes
                return self.model()
            case _:
                return self.model() if namespace else {"items": [self.model()]}

    def model(self) -> dict[str, Any]:
        place = {"name": "digits", "namespace": "vision", "resourceVersion": str(self.patches)}
        return {"metadata": place}


def migrate(server: ApiServer) -> list[str]:
    """Return the objects that were refused."""
    migration = Migration(server, VERSION, say=lambda _: None)  # type: ignore[arg-type]
    return list(migration.run(CRDS[0]).failed)


def test_the_other_version_is_dropped_once_a_whole_pass_finds_nothing_to_write() -> None:
    server = ApiServer(writes=2)
    assert migrate(server) == []
    assert (server.patches, server.dropped) == (2, [CRDS[0]])


def test_the_other_version_stays_where_every_pass_finds_something_to_write() -> None:
    server = ApiServer(writes=float("inf"))
    with pytest.raises(CliError, match="nothing is lost, run this again"):
        migrate(server)
    assert (server.patches, server.dropped) == (PASSES, [])


def test_the_other_version_stays_where_an_object_is_refused() -> None:
    server = ApiServer(writes=0, refuses=True)
    assert migrate(server) == ["vision/digits"]
    assert server.dropped == []
