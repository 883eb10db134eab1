"""DICOM files (PS3.10): the header through pydicom, the rest by its lengths, never as a whole."""

from __future__ import annotations

import logging
import struct
import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any, BinaryIO

from functions.xray.domain.limits import ImageRefused, exactly, frame_of, refuse

__all__ = ["SIGNATURE", "Dicom", "check", "read"]

SIGNATURE = b"DICM"
_PREAMBLE = 128
_NATIVE = {"1.2.840.10008.1.2": False, "1.2.840.10008.1.2.1": True}  # UID -> with explicit types
_ENCAPSULATED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
_LARGEST_HEADER = 2 << 20
_LARGEST_VALUE = 64 << 10
_FRAGMENTS = 20_000
_UNDEFINED = 0xFFFFFFFF
_LONG_TYPES = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_TAGS = (
    *("SpecificCharacterSet", "Modality", "Manufacturer", "BodyPartExamined", "ImageLaterality"),
    *("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID"),
    *("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"),
    *("StudyDate", "StudyTime", "TimezoneOffsetFromUTC"),
    *("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"),
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "NumberOfFrames"),
    *("PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration"),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PixelPaddingValue", "TransferSyntaxUID"),
)
_OF_PIXELS = ("PixelRepresentation", "PlanarConfiguration", "BitsStored", "PixelPaddingValue")
_TO_SHOW = (
    *("PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "WindowCenter"),
    *("WindowWidth", "VOILUTFunction"),
)


@dataclass(frozen=True)
class Dicom:
    """A file's header, and where its pixels are."""

    header: Any
    """pydicom's Dataset: of _TAGS what there is, without the pixels. Personal: never to a log."""
    syntax: str
    """The transfer syntax's UID (PS3.5 chapter 10)."""
    frames: int
    start: int
    """Where the pixels begin, when they are not in fragments."""
    fragments: list[tuple[int, int]] = field(default_factory=list)
    """(start, length) of each piece of coded data, without the offset table."""
    offsets: list[int] = field(default_factory=list)
    """The offset table: where each frame begins, from the first fragment's item on."""

    @property
    def encapsulated(self) -> bool:
        """Are the pixels coded, in fragments?"""
        return self.syntax not in _NATIVE

    @property
    def frame_size(self) -> int:
        """Bytes of a frame that is not coded."""
        head = self.header
        samples = int(head.SamplesPerPixel) * int(head.BitsAllocated) // 8
        return int(head.Rows) * int(head.Columns) * samples


def check(file: BinaryIO, size: int) -> None:
    """Raises ImageRefused for a file that is not one whole DICOM image and nothing else."""
    read(file, size)


def read(file: BinaryIO, size: int) -> Dicom:
    """The header and the places of the pixels, all within the file. Raises ImageRefused."""
    file.seek(0)
    if any(exactly(file, _PREAMBLE)):
        # A program, a page or a TIFF could begin here: PS3.10 7.1 wants zeros where it is unused.
        refuse("POLYGLOT", "The 128 bytes before the DICOM header are not empty.")
    if exactly(file, 4) != SIGNATURE:
        refuse("TYPE", "The file is no DICOM file.")
    syntax = _syntax(file)
    header = _header(file)
    found = _described(header)
    at = file.tell()
    start, length, pixels = _element(file, explicit=_NATIVE.get(syntax, True))
    if pixels != (0x7FE0, 0x0010):
        refuse("UNSUPPORTED", "This DICOM file holds no image.")
    made = Dicom(header, syntax, found, start)
    if not made.encapsulated:
        wanted = made.frame_size * found
        if length == _UNDEFINED or start + length > size or length < wanted:
            refuse("TRUNCATED", "The file ends in the middle of the image.")
        if length > wanted + 1:
            refuse("TRAILING_DATA", "There are more bytes than the image has pixels.")
        file.seek(start + length)
    else:
        if length != _UNDEFINED or at == start:
            refuse("MALFORMED", "The coded pixels are not in fragments.")
        _fragments(file, size, made)
    _tail(file, size, explicit=_NATIVE.get(syntax, True))
    return made


def _syntax(file: BinaryIO) -> str:
    """The transfer syntax, from the file meta information (PS3.10 7.1: explicit, little-endian)."""
    found = ""
    while True:
        at = file.tell()
        (group,) = struct.unpack("<H", exactly(file, 2))
        file.seek(at)
        if group != 0x0002:
            break
        start, length, tag = _element(file, explicit=True)
        if length > _LARGEST_VALUE or at > _LARGEST_HEADER:
            refuse("MALFORMED", "The DICOM header is damaged.")
        value = exactly(file, length)
        if tag == (0x0002, 0x0010):
            found = value.rstrip(b"\0 ").decode("ascii", "replace")
        file.seek(start + length)
    if found not in _NATIVE and not found.startswith(_ENCAPSULATED):
        refuse("UNSUPPORTED", "This DICOM transfer syntax is not taken: save it without deflation.")
    return found


def _element(file: BinaryIO, *, explicit: bool) -> tuple[int, int, tuple[int, int]]:
    """The next element: where its value begins, its length, its tag."""
    group, element = struct.unpack("<HH", exactly(file, 4))
    data = exactly(file, 4)
    if explicit and group != 0xFFFE:
        kind = data[:2]
        if not kind.isalpha() or not kind.isupper():
            refuse("MALFORMED", "The DICOM file is damaged.")
        length = struct.unpack("<H", data[2:])[0]
        if kind in _LONG_TYPES:
            length = struct.unpack("<I", exactly(file, 4))[0]
    else:
        length = struct.unpack("<I", data)[0]
    return file.tell(), length, (group, element)


def _header(file: BinaryIO) -> Any:
    pydicom = _pydicom()
    file.seek(0)
    bounded = _Bounded(file)
    try:
        read: Any = pydicom.dcmread(
            bounded, stop_before_pixels=True, defer_size=_LARGEST_VALUE, specific_tags=list(_TAGS)
        )
    except (ImageRefused, OSError):
        raise
    except Exception:  # noqa: BLE001 -- a damaged header fails anywhere; what it says is personal
        refuse("MALFORMED", "The DICOM header is damaged.")
    return read


def _described(header: Any) -> int:
    """How many frames there are. Raises ImageRefused where the pixels are not described."""
    try:
        rows, columns = int(header.Rows), int(header.Columns)
        frames = int(header.get("NumberOfFrames") or 1)
        layout = int(header.SamplesPerPixel), int(header.BitsAllocated)
        for name in _OF_PIXELS:
            int(header.get(name) or 0)
        for name in _TO_SHOW:
            header.get(name)  # decoded here, and from now on what it is
    except Exception:  # noqa: BLE001 -- absent, or not the numbers that they should be
        refuse("MALFORMED", "The DICOM header does not describe an image.")
    frame_of(columns, rows, frames)
    if layout not in ((1, 8), (1, 16), (3, 8)):
        refuse("UNSUPPORTED", "A DICOM image has 8 or 16 bits, or three colours of 8.")
    return frames


def _fragments(file: BinaryIO, size: int, made: Dicom) -> None:
    """Collect the fragments (PS3.5 A.4) and stand behind them."""
    table = True
    while True:
        start, length, tag = _element(file, explicit=True)
        if tag == (0xFFFE, 0xE0DD) and length == 0:
            break
        if tag != (0xFFFE, 0xE000) or length == _UNDEFINED:
            refuse("MALFORMED", "The coded pixels are not in fragments.")
        if start + length > size:
            refuse("TRUNCATED", "The file ends in the middle of the image.")
        if table:
            if length > 4 * made.frames or length % 4:
                refuse("MALFORMED", "The table of frames is not one place for each frame.")
            made.offsets.extend(place for (place,) in struct.iter_unpack("<I", file.read(length)))
            table = False
        else:
            made.fragments.append((start, length))
        if len(made.fragments) > _FRAGMENTS:
            refuse("UNSUPPORTED", "The image is in too many fragments.")
        file.seek(start + length)
    if not made.fragments:
        refuse("TRUNCATED", "The DICOM file holds no pixels.")


def _tail(file: BinaryIO, size: int, *, explicit: bool) -> None:
    """Behind the pixels there may be padding (PS3.10 7.2), and nothing else."""
    if file.tell() == size:
        return
    if size - file.tell() > 12:
        start, length, tag = _element(file, explicit=explicit)
        if tag == (0xFFFC, 0xFFFC) and start + length == size and not any(file.read()):
            return
    refuse("TRAILING_DATA", "There is something behind the end of the image.")


class _Bounded:
    """Reads no more of a header than a header may have: nested items grow a hundredfold."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, _LARGEST_HEADER
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        """``count`` bytes, or the rest."""
        if not 0 <= count <= self._left:
            refuse("UNSUPPORTED", f"A DICOM header may have {_LARGEST_HEADER} bytes.")
        data = self._file.read(count)
        self._left -= len(data)
        return data


@cache
def _pydicom() -> Any:
    """The library, kept from writing about what it reads: names stand in its warnings."""
    import pydicom
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=r"(pydicom|functions\.xray)(\..*)?")
    return pydicom
