"""What a file is, by its content, and whether it is something else besides."""

from __future__ import annotations

import struct
from typing import BinaryIO, Literal

from functions.xray.domain import dicom_file, jpeg, png, tiff
from functions.xray.domain.limits import refuse

__all__ = ["DICOM", "JPEG", "PNG", "TIFF", "MediaType", "check"]

DICOM: Literal["application/dicom"] = "application/dicom"
PNG: Literal["image/png"] = "image/png"
JPEG: Literal["image/jpeg"] = "image/jpeg"
TIFF: Literal["image/tiff"] = "image/tiff"
MediaType = Literal["application/dicom", "image/png", "image/jpeg", "image/tiff"]

_CHECKS = {DICOM: dicom_file.check, PNG: png.check, JPEG: jpeg.check, TIFF: tiff.check}
_HEAD = 4096
# Where browsers (WHATWG MIME Sniffing), PDF readers and shells look for their own.
_STRANGERS = (
    *(b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?php"),
    *(b"%pdf-", b"#!/"),
)
# A ZIP is read from its end: the directory's end stands at most a comment's length before it.
_ZIP_END, _ZIP_TAIL, _ZIP_ENTRY = b"PK\x05\x06", 22 + 65_535, b"PK\x01\x02"


def check(file: BinaryIO, size: int, declared: MediaType) -> None:
    """Raises ImageRefused unless the file is a whole image of the declared type and nothing else
    could take it for something of its own."""
    file.seek(0)
    head = file.read(_HEAD)
    found = _sniffed(head)
    if found != declared:
        refuse("TYPE", f"The file is {found or 'no image'}, not {declared}.")
    if any(stranger in head.lower() for stranger in _STRANGERS):
        refuse("POLYGLOT", "The file is also a page, a document or a program.")
    _CHECKS[declared](file, size)
    if _is_archive(file, size):
        refuse("POLYGLOT", "The file is also an archive.")


def _sniffed(head: bytes) -> MediaType | None:
    if head[128:132] == dicom_file.SIGNATURE:
        return DICOM
    if head.startswith(png.SIGNATURE):
        return PNG
    if head.startswith(jpeg.SIGNATURE):
        return JPEG
    return TIFF if head.startswith(tiff.SIGNATURES) else None


def _is_archive(file: BinaryIO, size: int) -> bool:
    """Would a program find the end of a ZIP's directory here, and the directory before it?"""
    start = max(0, size - _ZIP_TAIL)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        record = tail[at : at + 22]
        if len(record) == 22:
            length, offset = struct.unpack("<II", record[12:20])
            for place in (start + at - length, offset):
                if 0 <= place < size:
                    file.seek(place)
                    if file.read(4) == _ZIP_ENTRY:
                        return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False
