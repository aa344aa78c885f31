import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.sources import archive
from slipway.jobs.sources.archive import ArchiveLimits, unpack_archive

LIMITS = ArchiveLimits(max_bytes=10_000, max_files=20, max_ratio=50, ratio_floor_bytes=5_000)


def tar_of(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def global_header(key: str, value: str) -> tuple[tarfile.TarInfo, bytes]:
    body = f" {key}={value}\n"
    size = len(body) + len(str(len(body) + 6))
    return member("g", f"{size}{body}".encode(), type=tarfile.XGLTYPE)


def huge_header() -> bytes:
    info = tarfile.TarInfo("h")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    return info.tobuf(tarfile.GNU_FORMAT)


def damaged(data: bytes, *, at: int, to: bytes) -> bytes:
    start = at % len(data)
    return data[:start] + to + data[start + len(to) :]


def zip_end(*, directory_bytes: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, directory_bytes, 0, 0)


def zip_of(*entries: tuple[str, bytes, int], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data, compression)
    return packed.getvalue()


def run(folder: Path, name: str, data: bytes) -> dict[str, bytes]:
    packed = folder / "packed"
    packed.write_bytes(data)
    into = folder / "tree"
    into.mkdir()
    return {
        file.name: file.path.read_bytes() for file in unpack_archive(packed, name, into, LIMITS)
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("m.tar", tar_of(member("a/b.onnx"), member("c")), id="tar"),
        pytest.param("m.tar.gz", tar_of(member("a/b.onnx"), member("c"), mode="w:gz"), id="tar.gz"),
        pytest.param("M.TGZ", tar_of(member("a/b.onnx"), member("c"), mode="w:gz"), id="tgz"),
        pytest.param(
            "m.tar.gz",
            tar_of(member("a/b.onnx"), member("c"), mode="w:bz2"),
            id="a tar that is packed otherwise than its name says",
        ),
        pytest.param(
            "m.tar", tar_of(member("a/b.onnx"), member("c"))[:3072], id="an end of one block"
        ),
        pytest.param(
            "m.tar.gz",
            tar_of(
                *(member("a/b.onnx", pax_headers={"comment": "x" * 9_000}), member("c")),
                mode="w:gz",
            ),
            id="pax headers of a usual size",
        ),
        pytest.param("m.zip", zip_of(("a/b.onnx", b"x", 0o100644), ("c", b"x", 0)), id="zip"),
        pytest.param(
            "m.tar",
            tar_of(member("./", b"", type=tarfile.DIRTYPE), member("./a/b.onnx"), member("./c")),
            id="tar of a dot, as `tar -C dir .` writes it",
        ),
        pytest.param(
            "m.tar",
            tar_of(member("a", b"", type=tarfile.DIRTYPE), member("a/b.onnx"), member("c")),
            id="tar with entries for folders",
        ),
    ],
)
def test_archives_give_their_files(tmp_path: Path, name: str, data: bytes) -> None:
    assert run(tmp_path, name, data) == {"a/b.onnx": b"x", "c": b"x"}


HOSTILE: dict[str, tuple[str, bytes, Reason]] = {
    "climbs out": ("m.tar", tar_of(member("a/../../evil")), Reason.UNSAFE_ARCHIVE),
    "climbs and comes back": ("m.tar", tar_of(member("a/../b")), Reason.UNSAFE_ARCHIVE),
    "absolute": ("m.tar", tar_of(member("/etc/passwd")), Reason.UNSAFE_ARCHIVE),
    "symbolic link": (
        "m.tar",
        tar_of(member("a", b"", type=tarfile.SYMTYPE, linkname="/etc")),
        Reason.UNSAFE_ARCHIVE,
    ),
    "symbolic link, then a file through it": (
        "m.tar",
        tar_of(member("a", b"", type=tarfile.SYMTYPE, linkname=".."), member("a/evil")),
        Reason.UNSAFE_ARCHIVE,
    ),
    "hard link": (
        "m.tar",
        tar_of(member("a"), member("b", b"", type=tarfile.LNKTYPE, linkname="a")),
        Reason.UNSAFE_ARCHIVE,
    ),
    "device": (
        "m.tar",
        tar_of(member("sda", b"", type=tarfile.BLKTYPE, devmajor=8)),
        Reason.UNSAFE_ARCHIVE,
    ),
    "pipe": ("m.tar", tar_of(member("p", b"", type=tarfile.FIFOTYPE)), Reason.UNSAFE_ARCHIVE),
    "whiteout": ("m.tar", tar_of(member("opt/.wh.tritonserver")), Reason.UNSAFE_ARCHIVE),
    "opaque whiteout": ("m.tar", tar_of(member("opt/.wh..wh..opq")), Reason.UNSAFE_ARCHIVE),
    "the same name twice": ("m.tar", tar_of(member("a"), member("./a")), Reason.UNSAFE_ARCHIVE),
    "a file as a folder": ("m.tar", tar_of(member("a"), member("a/b")), Reason.UNSAFE_ARCHIVE),
    "line break in a name": ("m.tar", tar_of(member("a\nb")), Reason.UNSAFE_ARCHIVE),
    "backslash in a name": ("m.zip", zip_of(("a\\..\\b", b"x", 0)), Reason.UNSAFE_ARCHIVE),
    "zip climbs out": ("m.zip", zip_of(("../evil", b"x", 0)), Reason.UNSAFE_ARCHIVE),
    "zip absolute": ("m.zip", zip_of(("/evil", b"x", 0)), Reason.UNSAFE_ARCHIVE),
    "zip symbolic link": (
        "m.zip",
        zip_of(("a", b"/etc/passwd", stat.S_IFLNK | 0o777)),
        Reason.UNSAFE_ARCHIVE,
    ),
    "very long name": ("m.tar", tar_of(member("a" * 300)), Reason.UNSAFE_ARCHIVE),
    "too many entries": (
        "m.tar",
        tar_of(*(member(f"f{index}") for index in range(21))),
        Reason.SOURCE_TOO_LARGE,
    ),
    "too many empty folders": (
        "m.tar",
        tar_of(*(member(f"f{index}", b"", type=tarfile.DIRTYPE) for index in range(21))),
        Reason.SOURCE_TOO_LARGE,
    ),
    "too large": ("m.tar", tar_of(member("a", bytes(10_001))), Reason.SOURCE_TOO_LARGE),
    "too large in sum": (
        "m.tar",
        tar_of(member("a", bytes(6_000)), member("b", bytes(6_000))),
        Reason.SOURCE_TOO_LARGE,
    ),
    "bomb": ("m.tar.gz", tar_of(member("a", bytes(9_000)), mode="w:gz"), Reason.SOURCE_TOO_LARGE),
    "zip bomb": ("m.zip", zip_of(("a", bytes(9_000), 0)), Reason.SOURCE_TOO_LARGE),
    "no tar": ("m.tar", b"<html>not found</html>" * 100, Reason.CORRUPT_ARCHIVE),
    "no gzip": ("m.tar.gz", b"<html>", Reason.CORRUPT_ARCHIVE),
    "empty": ("m.tar.gz", b"", Reason.CORRUPT_ARCHIVE),
    "no zip": ("m.zip", b"PK\x03\x04nonsense", Reason.CORRUPT_ARCHIVE),
    "cut off": (
        "m.tar.gz",
        tar_of(member("a", bytes(range(256)) * 16), mode="w:gz")[:-200],
        Reason.CORRUPT_ARCHIVE,
    ),
    "cut off between two members": (
        "m.tar",
        tar_of(member("a"), member("b"))[:1024],
        Reason.CORRUPT_ARCHIVE,
    ),
    "compressed after it was cut off between two members": (
        "m.tar.gz",
        gzip.compress(tar_of(member("a"), member("b"))[:1024]),
        Reason.CORRUPT_ARCHIVE,
    ),
    "cut off inside a header": (
        "m.tar",
        tar_of(member("a"), member("b"))[:1200],
        Reason.CORRUPT_ARCHIVE,
    ),
    "one damaged header": (
        "m.tar",
        damaged(tar_of(member("a"), member("b"), member("c")), at=1024, to=b"\xff"),
        Reason.CORRUPT_ARCHIVE,
    ),
    "one header of zeros": (
        "m.tar",
        damaged(tar_of(member("a"), member("b"), member("c")), at=1024, to=bytes(512)),
        Reason.CORRUPT_ARCHIVE,
    ),
    "damaged behind its end": (
        "m.tar.gz",
        damaged(tar_of(member("a"), mode="w:gz"), at=-8, to=b"\xff\xff\xff\xff"),
        Reason.CORRUPT_ARCHIVE,
    ),
    "cut off behind its end": (
        "m.tar.gz",
        tar_of(member("a"), mode="w:gz")[:-8],
        Reason.CORRUPT_ARCHIVE,
    ),
    "nothing but an end that is missing": ("m.tar", b"\x1f\x8b", Reason.CORRUPT_ARCHIVE),
    "a pax header without a number": (
        "m.tar",
        tar_of(member("h", b"9 size=x\n", type=tarfile.XHDTYPE), member("a")),
        Reason.CORRUPT_ARCHIVE,
    ),
    "headers of headers": (
        "m.tar.gz",
        tar_of(*[member("h", b"", type=tarfile.XHDTYPE)] * 5_000, mode="w:gz"),
        Reason.CORRUPT_ARCHIVE,
    ),
    "xz, which asks for any amount of memory": (
        "m.tar",
        tar_of(member("a"), mode="w:xz"),
        Reason.CORRUPT_ARCHIVE,
    ),
    "zip that is cut off": ("m.zip", zip_of(("a", b"x" * 99, 0))[:-1], Reason.CORRUPT_ARCHIVE),
    "zip of LZMA, which asks for any amount of memory": (
        "m.zip",
        zip_of(("a", b"x", 0), compression=zipfile.ZIP_LZMA),
        Reason.UNSAFE_ARCHIVE,
    ),
    "large pax header": (
        "m.tar.gz",
        tar_of(member("a", pax_headers={"comment": "x" * 2**20}), mode="w:gz"),
        Reason.SOURCE_TOO_LARGE,
    ),
    "large pax header of a large size": (
        "m.tar",
        huge_header(),
        Reason.SOURCE_TOO_LARGE,
    ),
    "long name": (
        "m.tar.gz",
        tar_of(
            member("././@LongLink", b"x" * 2**21, type=tarfile.GNUTYPE_LONGNAME),
            member("a"),
            mode="w:gz",
        ),
        Reason.SOURCE_TOO_LARGE,
    ),
    "long name of a link": (
        "m.tar.gz",
        tar_of(
            member("././@LongLink", b"x" * 2**21, type=tarfile.GNUTYPE_LONGLINK),
            member("a"),
            mode="w:gz",
        ),
        Reason.SOURCE_TOO_LARGE,
    ),
    "global headers that add up": (
        "m.tar.gz",
        tar_of(
            *(
                item
                for index in range(5)
                for item in (global_header(f"key{index}", "x" * 400_000), member(f"f{index}"))
            ),
            mode="w:gz",
        ),
        Reason.SOURCE_TOO_LARGE,
    ),
    "endless padding": (
        "m.tar.gz",
        gzip.compress(tar_of(member("a")) + bytes(65 * 2**20), compresslevel=1),
        Reason.SOURCE_TOO_LARGE,
    ),
    "zip with a large directory": (
        "m.zip",
        bytes(17 * 2**20) + zip_end(directory_bytes=17 * 2**20),
        Reason.SOURCE_TOO_LARGE,
    ),
    "cut off inside a file": (
        "m.tar",
        tar_of(member("a", bytes(range(256)) * 16))[:2048],
        Reason.CORRUPT_ARCHIVE,
    ),
}


@pytest.mark.parametrize(("name", "data", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_archives_are_refused(
    tmp_path: Path, name: str, data: bytes, reason: Reason
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()

    with pytest.raises(JobFailure) as refused:
        run(inside, name, data)

    assert (refused.value.reason, refused.value.transient) == (reason, False)
    assert name in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"], "something got out"


def test_an_encrypted_zip_is_refused_by_its_flag(tmp_path: Path) -> None:
    data = bytearray(zip_of(("a", b"x", 0)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1

    with pytest.raises(JobFailure, match="is encrypted") as refused:
        run(tmp_path, "m.zip", bytes(data))

    assert refused.value.reason == Reason.UNSAFE_ARCHIVE


def test_headers_that_add_up_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ALL_TAR_HEADER_BYTES", 100_000)
    data = tar_of(*(member(f"f{n}", pax_headers={"comment": "x" * 9_000}) for n in range(15)))

    with pytest.raises(JobFailure) as refused:
        run(tmp_path, "m.tar", data)

    assert refused.value.reason == Reason.SOURCE_TOO_LARGE
