"""Small, real image files for the demonstration, the seed and the tests: DICOM, PNG, JPEG, TIFF.

What they show is a drawn tooth: an intra-oral film with a crown, two roots and a filling, grey by
density as X-rays show it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any
from uuid import NAMESPACE_URL, uuid5

__all__ = ["dicom", "pixels", "raster"]

# ISO 3950 -> SNOMED CT (DICOM PS3.16 CID 4018), for a few teeth.
_TEETH = {"11": "422653006", "16": "865995000", "26": "865988009", "36": "866006002"}
_EXPLICIT = "1.2.840.10008.1.2.1"
_STORAGE = (
    "1.2.840.10008.5.1.4.1.1.1.3"  # Digital Intra-Oral X-Ray Image Storage - For Presentation
)


@cache
def pixels(width: int = 160, height: int = 120, bits: int = 12) -> Any:
    """An array (uint16) of ``height`` rows: a molar, brighter where it is denser."""
    import numpy

    y, x = numpy.mgrid[0:height, 0:width].astype(float)
    x, y = (x - width / 2) / (width / 2), (y - height / 2) / (height / 2)
    film = 0.12 + 0.10 * (y + 1) / 2  # bone, denser towards the root
    crown = (x / 0.52) ** 4 + ((y + 0.45) / 0.42) ** 4 < 1
    roots = ((abs(x) - 0.28) / 0.17) ** 2 + ((y - 0.30) / 0.62) ** 2 < 1
    pulp = (x / 0.16) ** 2 + ((y + 0.32) / 0.20) ** 2 < 1
    canals = (abs(abs(x) - 0.27) < 0.03) & (y > -0.2) & (y < 0.75)
    filling = ((x - 0.15) / 0.20) ** 2 + ((y + 0.76) / 0.12) ** 2 < 1
    for shape, density in ((roots, 0.48), (crown, 0.62), (pulp, 0.30), (canals, 0.28)):
        film = numpy.where(shape, density, film)
    enamel = crown & ~((x / 0.45) ** 4 + ((y + 0.40) / 0.36) ** 4 < 1)
    film = numpy.where(enamel, 0.80, film)
    film = numpy.where(filling & crown, 0.97, film)
    noise = numpy.random.default_rng(7).normal(0, 0.008, film.shape)
    return (numpy.clip(film + noise, 0, 1) * ((1 << bits) - 1)).astype(numpy.uint16)


def dicom(
    *,
    patient_id: str = "",
    patient_name: str = "",
    birth_date: str = "",
    teeth: Sequence[str] = ("36",),
    taken_at: datetime | None = None,
    tags: Mapping[str, Any] | None = None,
    data: bytes | None = None,
    syntax: str = _EXPLICIT,
) -> bytes:
    """A DICOM file (PS3.10) with an intra-oral image of ``teeth``.

    ``patient_name`` as DICOM writes it: ``Popescu^Ana``; ``birth_date`` as YYYYMMDD. ``tags``
    replace the header's values by keyword, None removes one; ``data`` replaces the pixels.
    """
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import UID

    shown = pixels()
    name = str(uuid5(NAMESPACE_URL, f"{patient_id} {patient_name} {taken_at} {teeth}").int)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_STORAGE)
    meta.MediaStorageSOPInstanceUID = UID(f"2.25.{name}")
    meta.TransferSyntaxUID = UID(syntax)
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.SOPInstanceUID = UID(_STORAGE), UID(f"2.25.{name}")
    made.SpecificCharacterSet = "ISO_IR 192"
    made.Modality, made.Manufacturer, made.BodyPartExamined = "IO", "Example Imaging", "JAW"
    made.PatientID, made.PatientName, made.PatientBirthDate = patient_id, patient_name, birth_date
    if taken_at is not None:
        made.AcquisitionDateTime = taken_at.strftime("%Y%m%d%H%M%S.%f%z")
    coded = []
    for tooth in teeth:
        item = Dataset()
        known = _TEETH.get(tooth)
        item.CodeValue = known or tooth
        item.CodingSchemeDesignator = "SCT" if known else "ISO3950"
        item.CodeMeaning = f"Tooth {tooth}"
        coded.append(item)
    made.PrimaryAnatomicStructureSequence = coded
    made.Rows, made.Columns = shown.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.RescaleSlope, made.RescaleIntercept = 1, 0
    made.WindowCenter, made.WindowWidth = 2048, 4096
    made.PixelData = shown.tobytes()
    for keyword, value in (tags or {}).items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    if data is not None:
        made.PixelData = data
    made["PixelData"].VR = "OW"
    made["PixelData"].is_undefined_length = meta.TransferSyntaxUID.is_compressed
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def raster(kind: str, *, bits: int = 8, **options: Any) -> bytes:
    """The same picture as ``kind``: PNG, JPEG or TIFF, with 8 or 16 ``bits`` (JPEG: 8); ``options``
    as Pillow's writer has them."""
    import numpy
    from PIL import Image

    shown = pixels()
    values = (shown >> 4).astype(numpy.uint8) if bits == 8 else shown << 4
    file = BytesIO()
    Image.fromarray(values).save(file, kind, **options)
    return file.getvalue()
