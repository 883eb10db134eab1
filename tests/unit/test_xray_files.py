"""Which files are images, and nothing else: what is refused before anything decodes it."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.xray.domain import rendering, signatures
from functions.xray.domain.limits import MAX_PIXELS, ImageRefused, NoPreview
from functions.xray.domain.signatures import DICOM, JPEG, PNG, TIFF, MediaType
from infra.images import dicom, raster

FILES: dict[MediaType, bytes] = {
    DICOM: dicom(patient_name="Popescu^Ana"),
    PNG: raster("PNG"),
    JPEG: raster("JPEG"),
    TIFF: raster("TIFF"),
}


def _reason(data: bytes, kind: MediaType) -> str | None:
    """Why a file is refused, by its structure or when it is decoded; None: it is not."""
    try:
        signatures.check(BytesIO(data), len(data), kind)
        rendering.picture(BytesIO(data), len(data), kind)
    except ImageRefused as refused:
        return refused.reason
    except NoPreview:
        return None
    return None


def _zip() -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("payload.txt", "x" * 100)
    return made.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _in_png(chunk: bytes) -> bytes:
    """The PNG with one more chunk before its end."""
    end = FILES[PNG].index(b"IEND") - 4
    return FILES[PNG][:end] + chunk + FILES[PNG][end:]


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_image_is_taken(kind: MediaType) -> None:
    """A file as programs write it is accepted as what it is."""
    assert _reason(FILES[kind], kind) is None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("other", FILES)
def test_a_file_is_what_its_content_says(kind: MediaType, other: MediaType) -> None:
    """A file of another type than declared is refused, whatever it was called."""
    assert ("TYPE" if kind != other else None) == _reason(FILES[other], kind)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("what", [b"", b"GIF89a" + bytes(200), bytes(500), b"%PDF-1.7\n" * 50])
def test_what_is_no_image_is_refused(kind: MediaType, what: bytes) -> None:
    """Nothing, another format, zeros, a document."""
    assert "TYPE" == _reason(what, kind)


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_truncated_file_is_refused(kind: MediaType, data: st.DataObject) -> None:
    """However much of its end is missing."""
    whole = FILES[kind]
    kept = data.draw(st.integers(0, len(whole) - 1))
    assert _reason(whole[:kept], kind) is not None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    "tail", [b"\0\0\0\0", b"<html><script>alert(1)</script></html>", _zip(), b"MZ" + bytes(300)]
)
def test_nothing_stands_behind_an_image(kind: MediaType, tail: bytes) -> None:
    """Appended zeros, a page, an archive or a program: refused."""
    assert _reason(FILES[kind] + tail, kind) in ("TRAILING_DATA", "POLYGLOT", "MALFORMED")


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_file_fails_cleanly(kind: MediaType, data: st.DataObject) -> None:
    """Bytes turned over anywhere: refused for a reason or shown, never anything else."""
    whole = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, min(len(whole), 2000) - 1))] = data.draw(st.integers(0, 255))
    _reason(bytes(whole), kind)


@pytest.mark.parametrize(
    "preamble", [b"MZ", b"II*\0", b"<html>", b"#!/bin/sh\n", b"PK\3\4", b"\x7fELF", b"x"]
)
def test_a_dicom_preamble_is_empty(preamble: bytes) -> None:
    """What makes a DICOM file also a program, a TIFF or a page stands in its first 128 bytes."""
    data = preamble + FILES[DICOM][len(preamble) :]
    assert "POLYGLOT" == _reason(data, DICOM)


def test_an_archive_within_an_image_is_found() -> None:
    """An archive in a PNG's comment or a DICOM's private element opens as one: refused."""
    inside = _in_png(_chunk(b"tEXt", b"Comment\0" + _zip()))
    with zipfile.ZipFile(BytesIO(inside)) as opened:
        assert ["payload.txt"] == opened.namelist()
    assert "POLYGLOT" == _reason(inside, PNG)
    at = FILES[DICOM].index(b"\x10\x00\x10\x00PN")
    private = b"\x09\x00\x11\x10OB\0\0" + struct.pack("<I", len(_zip())) + _zip()
    assert "POLYGLOT" == _reason(FILES[DICOM][:at] + private + FILES[DICOM][at:], DICOM)


def test_a_page_within_an_image_is_found() -> None:
    """What a browser could take for a page, in a comment at the beginning, is refused."""
    page = b"<HTML><script>alert(1)</script>"
    comment = b"\xff\xfe" + struct.pack(">H", len(page) + 2) + page
    assert "POLYGLOT" == _reason(FILES[JPEG][:2] + comment + FILES[JPEG][2:], JPEG)
    start = FILES[PNG].index(b"IDAT") - 4
    chunk = _chunk(b"tEXt", b"Comment\0" + page)
    assert "POLYGLOT" == _reason(FILES[PNG][:start] + chunk + FILES[PNG][start:], PNG)


def test_an_archive_between_the_strips_of_a_tiff_is_found() -> None:
    """Bytes that no directory leads to are no part of the image."""
    whole = FILES[TIFF]
    ifd = struct.unpack("<I", whole[4:8])[0]
    hidden = bytes(range(256)) * 40
    # A copy of the directory behind the hidden bytes.
    (count,) = struct.unpack("<H", whole[ifd : ifd + 2])
    directory = whole[ifd : ifd + 2 + count * 12 + 4]
    moved = whole[:4] + struct.pack("<I", len(whole) + len(hidden)) + whole[8:]
    assert "POLYGLOT" == _reason(moved + hidden + directory, TIFF)


def test_bombs_are_refused_before_they_are_decoded() -> None:
    """A small file that says it has billions of pixels is refused by what it says."""
    side = 60_000
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(1000)))
        + _chunk(b"IEND", b"")
    )
    assert "TOO_MANY_PIXELS" == _reason(bomb, PNG)
    assert "TOO_MANY_PIXELS" == _reason(dicom(tags={"Rows": side, "Columns": side}), DICOM)
    tags = {"NumberOfFrames": "100000"}
    assert "TOO_MANY_PIXELS" == _reason(dicom(tags=tags), DICOM)
    frame = FILES[JPEG].index(b"\xff\xc0")
    large = struct.pack(">HH", side, side)
    jpeg = FILES[JPEG][: frame + 5] + large + FILES[JPEG][frame + 9 :]
    assert "TOO_MANY_PIXELS" == _reason(jpeg, JPEG)
    tiff = bytearray(FILES[TIFF])
    for tag in (256, 257):
        at = tiff.index(struct.pack("<HH", tag, 4 if struct.pack("<HH", tag, 4) in tiff else 3))
        tiff[at : at + 12] = struct.pack("<HHII", tag, 4, 1, side)
    assert "TOO_MANY_PIXELS" == _reason(bytes(tiff), TIFF)


def test_a_bomb_within_a_dicom_file_is_refused() -> None:
    """A coded picture that is larger than the header says is not decoded."""
    from pydicom.encaps import encapsulate

    def coded(data: bytes) -> bytes:
        tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
        return dicom(data=encapsulate([data]), syntax="1.2.840.10008.1.2.4.50", tags=tags)

    assert _reason(coded(FILES[JPEG]), DICOM) is None
    frame = FILES[JPEG].index(b"\xff\xc0")
    side = int(MAX_PIXELS**0.5) + 1000
    large = FILES[JPEG][: frame + 5] + struct.pack(">HH", side, side) + FILES[JPEG][frame + 9 :]
    assert "MALFORMED" == _reason(coded(large), DICOM)


def test_a_deflated_header_is_not_inflated() -> None:
    """The deflated transfer syntax would inflate without a bound: refused by its name."""
    data = dicom(syntax="1.2.840.10008.1.2.1.99", tags={"PixelData": bytes(160 * 120 * 2)})
    assert "UNSUPPORTED" == _reason(data, DICOM)


def test_a_swollen_header_is_refused() -> None:
    """A header of nested items beyond two MiB is not read: each takes a hundred times its size."""
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", 0)
    items = item * 400_000
    sequence = b"\x09\x00\x10\x10SQ\0\0" + b"\xff\xff\xff\xff" + items
    sequence += b"\xfe\xff\xdd\xe0" + bytes(4)
    at = FILES[DICOM].index(b"\x10\x00\x10\x00PN")
    assert "UNSUPPORTED" == _reason(FILES[DICOM][:at] + sequence + FILES[DICOM][at:], DICOM)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"), "UNSUPPORTED"),
        (lambda d: d[: d.index(b"\xe0\x7f\x10\x00OW")], "TRUNCATED"),
        (lambda d: d.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00XX"), "MALFORMED"),
    ],
)
def test_dicom_files_that_hold_no_readable_image(
    change: Callable[[bytes], bytes], reason: str
) -> None:
    """Big-endian files, files without pixels, files whose elements have no type: refused."""
    assert reason == _reason(change(FILES[DICOM]), DICOM)


def test_fewer_or_more_pixels_than_the_header_says_are_refused() -> None:
    """The length of the pixels is that of the rows and columns."""
    assert "TRUNCATED" == _reason(dicom(data=bytes(1000)), DICOM)
    assert "TRAILING_DATA" == _reason(dicom(data=bytes(160 * 120 * 2 + 5000)), DICOM)


def test_a_damaged_png_is_refused() -> None:
    """A chunk whose checksum is wrong, and one that nobody knows."""
    at = FILES[PNG].index(b"IDAT") + 10
    assert "MALFORMED" == _reason(FILES[PNG][:at] + b"\0\1" + FILES[PNG][at + 2 :], PNG)
    assert "MALFORMED" == _reason(_in_png(_chunk(b"ABCD", b"1")), PNG)
    assert "UNSUPPORTED" == _reason(_in_png(_chunk(b"acTL", bytes(8))), PNG)


def test_a_circle_of_directories_is_refused() -> None:
    """A TIFF whose next directory is itself would be read for ever."""
    whole = bytearray(FILES[TIFF])
    (ifd,) = struct.unpack("<I", whole[4:8])
    (count,) = struct.unpack("<H", whole[ifd : ifd + 2])
    whole[ifd + 2 + count * 12 : ifd + 6 + count * 12] = struct.pack("<I", ifd)
    assert "MALFORMED" == _reason(bytes(whole), TIFF)
