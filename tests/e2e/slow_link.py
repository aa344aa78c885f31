"""A source at the end of a link that is slow and breaks, and a client that is not on the node."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.cluster import settings
from tests.contract.registry.bench import Shelf
from tests.contract.registry.servers import serving
from tests.kubectl import CLONE, until
from tests.load.plan import LoadPlan
from tests.load.record import Record, Totals, parse_line

MEGABYTE = 1_000_000
START_SECONDS = 30.0
END_SECONDS = 60.0


@contextmanager
def slow_link(files: dict[str, bytes], *, cut_after: list[int]) -> Iterator[Shelf]:
    """Serve files at 1 MB/s to the node, from the other end of its link; none after the body."""
    shelf = Shelf(files=files, cut_after=cut_after, bytes_per_second=MEGABYTE)
    with serving(shelf, address=settings.HOST_ADDRESS) as server:
        shelf.server = server
        yield shelf


@dataclass(slots=True)
class Outside:
    """A steady load from a process that is not on the node, and so takes nothing of it."""

    plan: LoadPlan
    place: Path
    records: list[Record] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _follower: threading.Thread | None = None

    def __enter__(self) -> Self:
        path = self.place / "plan.json"
        path.write_text(self.plan.to_json())
        words = (sys.executable, "-m", "tests.load.client", str(path))
        self._process = subprocess.Popen(words, cwd=CLONE, stdout=subprocess.PIPE, text=True)
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()
        until(lambda: self.total.sent > self.total.failed, "an answer", START_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._follower is not None
        self._process.terminate()
        self._process.wait(END_SECONDS)
        self._follower.join(END_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def total(self) -> Totals:
        """All that has ended so far."""
        return self.records[-1].total if self.records else Totals()

    def since(self, moment: float) -> list[Record]:
        """Return the records of the seconds from a Unix time on."""
        return [record for record in self.records if record.t >= moment]

    def _follow(self) -> None:
        assert self._process is not None
        for line in self._process.stdout or ():
            record = parse_line(line)
            if record is not None:
                self.records.append(record)
