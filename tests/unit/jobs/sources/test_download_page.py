"""The page on which a pod that fetches says how far it is, and the operator that reads it."""

import asyncio
import socket
import urllib.error
import urllib.request

import pytest
from slipway.adapters.fetching_pods import FetchingPods
from slipway.api.download import PATH, DownloadProgress
from slipway.jobs.sources.download_page import serve_download_progress
from slipway.jobs.sources.progress import Progress


def served() -> int:
    port = serve_download_progress(0)
    assert port is not None
    return port


async def read(port: int) -> DownloadProgress | None:
    pods = FetchingPods(port=port)
    try:
        return await pods.read("127.0.0.1")
    finally:
        await pods.close()


def test_the_operator_reads_what_the_newest_download_has() -> None:
    port = served()
    Progress(5).add(1)
    Progress(1000, now=iter([100.0, 104.0, 108.0]).__next__).add(250)

    told = asyncio.run(read(port))

    assert told == DownloadProgress(bytes=250, total_bytes=1000, seconds=8.0)


def test_before_the_first_byte_is_asked_for_there_is_no_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Progress, "newest", None)

    assert asyncio.run(read(served())) is None


def test_who_says_nothing_keeps_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.jobs.sources.download_page._Page.timeout", 0.1)
    Progress(10)
    port = served()

    with (
        socket.create_connection(("127.0.0.1", port)),
        urllib.request.urlopen(f"http://127.0.0.1:{port}{PATH}", timeout=10) as page,
    ):
        assert page.status == 200


def test_there_is_no_other_page() -> None:
    Progress(10)

    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{served()}/etc/passwd", timeout=10)


def test_a_taken_port_stops_no_download() -> None:
    with socket.create_server(("", 0)) as taken:
        assert serve_download_progress(taken.getsockname()[1]) is None


@pytest.mark.parametrize(
    "page",
    [
        b"{}",
        b"[]",
        b'{"bytes": -1, "seconds": 1}',
        b'{"bytes": 1e400, "seconds": 1}',
        b"\xff",
        b'{"bytes": 1, "seconds": 1e300}',
    ],
)
def test_what_is_no_page_of_ours_is_no_progress(page: bytes) -> None:
    async def ask() -> DownloadProgress | None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            return await read(server.sockets[0].getsockname()[1])

    assert asyncio.run(ask()) is None
