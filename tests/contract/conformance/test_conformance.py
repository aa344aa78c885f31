"""Behind the router as in front of Triton, but for what docs/clients.md says."""

from collections import Counter
from pathlib import Path

from tests.contract.conformance.compare import (
    all_requests,
    compare_all,
    intended_differences,
    unintended,
)
from tests.contract.conformance.pair import started


def test_each_request_has_a_name_of_its_own() -> None:
    names = Counter(request.name for request in all_requests())

    assert [name for name, count in names.items() if count > 1] == []


async def test_the_router_answers_as_triton_does_but_for_what_the_page_says(
    tmp_path: Path,
) -> None:
    rows, requests = intended_differences(), all_requests()

    async with started(tmp_path) as pair:
        found = await compare_all(pair, requests)

    unused = [pattern for row in rows for pattern in row.unused(found)]
    assert [f"{each.name}: {each.triton} | {each.router}" for each in unintended(found, rows)] == []
    assert unused == []
    served = [each for each in found if each.triton.shown in ("200", "OK") and each.is_same]
    assert len(served) > len(requests) / 2
