"""The record of the machine's one cluster: who started it, from what, and which process it is."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.process import ProcessIdentity, is_alive


@dataclass(frozen=True, slots=True)
class Owner:
    """Written before the node may do anything; an unfinished start leaves no init."""

    clone: str
    """Clone of the repository that started it."""
    inputs: str
    """Digest of everything that the cluster was made from."""
    users: tuple[str, ...] = ()
    """Clones that hold a kubeconfig of it."""
    init: ProcessIdentity | None = None

    @property
    def is_running(self) -> bool:
        """Whether the node's first process still lives."""
        return self.init is not None and is_alive(self.init)

    def used_by(self, clone: str) -> "Owner":
        """Return the record with one more user."""
        return dataclasses.replace(self, users=tuple(sorted({*self.users, clone})))

    def save(self, path: Path) -> None:
        """Write the record, whole or not at all."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        fresh.replace(path)


def load_owner(path: Path) -> Owner | None:
    """Return the record; None when there is none or it is not readable as one."""
    try:
        raw = json.loads(path.read_text())
        init = raw["init"]
        return Owner(
            clone=raw["clone"],
            inputs=raw["inputs"],
            users=tuple(raw["users"]),
            init=ProcessIdentity(**init) if init else None,
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
