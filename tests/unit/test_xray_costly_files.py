"""Files that would cost more than they are worth, or that no decoder expects."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy
from PIL import Image
from pydicom.encaps import encapsulate

from functions.xray.domain import rendering, signatures
from functions.xray.domain.limits import ImageRefused
from functions.xray.domain.signatures import DICOM, JPEG, PNG, TIFF, MediaType
from infra.images import dicom, raster

FILES: dict[MediaType, bytes] = {
    DICOM: dicom(patient_name="Popescu^Ana"),
    PNG: raster("PNG"),
    JPEG: raster("JPEG"),
}


def _reason(data: bytes, kind: MediaType) -> str | None:
    """Why a file is refused; None: it is not."""
    try:
        signatures.check(BytesIO(data), len(data), kind)
        rendering.picture(BytesIO(data), len(data), kind)
    except ImageRefused as refused:
        return refused.reason
    return None


def _chunk(name: bytes) -> bytes:
    return struct.pack(">I", 0) + name + struct.pack(">I", zlib.crc32(name))


def _coded(data: bytes) -> bytes:
    """A DICOM file with a JPEG in it."""
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return dicom(data=encapsulate([data]), syntax="1.2.840.10008.1.2.4.50", tags=bits)


def _tiff(tags: list[tuple[int, int, int, int]], tail: bytes) -> bytes:
    """A TIFF of one directory; a tag's value 0 is where ``tail`` begins."""
    at = 8 + 2 + 12 * len(tags) + 4
    fields = [struct.pack("<HHII", tag, kind, n, value or at) for tag, kind, n, value in tags]
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + b"".join(fields) + bytes(4) + tail


def test_a_value_of_no_known_kind_is_refused() -> None:
    """A DICOM element that is needed for the picture and cannot be read."""
    for keyword in (b"\x28\x00\x51\x10DS", b"\x28\x00\x03\x01US", b"\x28\x00\x04\x00CS"):
        damaged = FILES[DICOM].replace(keyword, keyword[:4] + b"ZZ")
        assert damaged != FILES[DICOM]
        assert "MALFORMED" == _reason(damaged, DICOM), keyword


def test_a_table_of_frames_is_of_whole_places() -> None:
    """Four bytes for each frame (PS3.5 A.4), not three."""
    coded = _coded(raster("JPEG"))
    item = b"\xfe\xff\x00\xe0"
    at = coded.index(item)
    (length,) = struct.unpack("<I", coded[at + 4 : at + 8])
    torn = coded[:at] + item + struct.pack("<I", 3) + b"abc" + coded[at + 8 + length :]
    assert "MALFORMED" == _reason(torn, DICOM)


def test_numbers_that_no_image_means_show_something() -> None:
    """A slope beyond what a float holds, and a padding value of another width."""
    for tags in ({"RescaleSlope": "1e308"}, {"RescaleIntercept": "-1e300"}, {"BitsStored": 0}):
        assert _reason(dicom(tags=tags), DICOM) is None
    lost = BytesIO()
    Image.fromarray(numpy.full((9, 9), numpy.nan, numpy.float32)).save(lost, "TIFF")
    assert _reason(lost.getvalue(), TIFF) is None


def test_an_image_of_too_many_parts_is_refused_at_once() -> None:
    """Comments, chunks and fields without end cost more to read than to send."""
    jpeg = FILES[JPEG][:2] + b"\xff\xfe\0\2" * 5000 + FILES[JPEG][2:]
    assert "UNSUPPORTED" == _reason(jpeg, JPEG)
    assert "UNSUPPORTED" == _reason(
        FILES[PNG][:33] + _chunk(b"abCd") * 100_001 + FILES[PNG][33:], PNG
    )
    pieces = 200_000
    tags = [(256, 3, 1, 9), (257, 3, 1, 9), (273, 4, 1, 8), *[(279, 4, pieces, 0)] * 4]
    assert "TOO_MANY_PIXELS" == _reason(_tiff(tags, bytes(4 * pieces)), TIFF)


def test_a_jpeg_that_is_decoded_again_and_again_is_refused() -> None:
    """Each scan of a progressive JPEG goes over all pixels and may have a few bytes; also within
    a DICOM file."""
    made = raster("JPEG", progressive=True)
    at, end = made.rindex(b"\xff\xda"), made.rindex(b"\xff\xd9")
    many = made[:end] + made[at:end] * 40 + made[end:]
    assert "UNSUPPORTED" == _reason(many, JPEG)
    assert "UNSUPPORTED" == _reason(_coded(many), DICOM)


def test_a_small_tiff_has_no_large_tile() -> None:
    """A tile of gigabytes is inflated as a whole for an image of a few pixels: refused."""
    tags = [
        *((256, 3, 1, 16), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)),
        *((277, 3, 1, 1), (322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 0), (325, 4, 1, 9)),
    ]
    assert "TOO_MANY_PIXELS" == _reason(_tiff(tags, zlib.compress(b"0")), TIFF)
