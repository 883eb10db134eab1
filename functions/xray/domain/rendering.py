"""Pictures of images, small enough for a page: previews and thumbnails, as PNG."""

from __future__ import annotations

import threading
import warnings
from functools import cache
from io import BytesIO
from math import isfinite
from typing import Any, BinaryIO, get_args

from functions.xray.domain import dicom_file, jpeg
from functions.xray.domain.limits import MAX_PIXELS, NoPreview, exactly, refuse
from functions.xray.domain.signatures import DICOM, MediaType
from functions.xray.domain.window import Function, Window, shades

__all__ = ["PREVIEW", "THUMBNAIL", "measured", "picture", "thumbnail"]

PREVIEW, THUMBNAIL = 2048, 256
"""Pixels of the longer side, at most."""
_JPEG = "1.2.840.10008.1.2.4.50"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_SCAN = b"\xff\xda"
_LARGEST_CODED = 64 << 20  # bytes of one coded frame, which is in memory as a whole
# Each holds a frame of up to MAX_PIXELS in memory.
_AT_ONCE = threading.BoundedSemaphore(2)


def picture(
    file: BinaryIO, size: int, kind: MediaType, window: Window | None = None, frame: int = 0
) -> bytes:
    """The image as an 8-bit PNG of at most PREVIEW pixels a side.

    ``window`` is in the units of the image (DICOM: after rescaling; otherwise the stored values,
    colours as grey). Without it: as the file says, or from its lowest value to its highest. Raises
    ImageRefused for pixels that cannot be decoded, NoPreview, and IndexError for no such frame.
    """
    with _AT_ONCE:
        if kind == DICOM:
            return _png(_of_dicom(file, size, window, frame))
        return _png(_of_raster(file, window, frame))


def thumbnail(preview: bytes) -> bytes:
    """A small picture from a preview."""
    small = _pillow().open(BytesIO(preview))
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return _png(small)


def measured(file: BinaryIO) -> tuple[int, int, int]:
    """Width, height and number of pictures of a checked PNG, JPEG or TIFF."""
    file.seek(0)
    image = _pillow().open(file, formats=("PNG", "JPEG", "TIFF"))
    return image.width, image.height, getattr(image, "n_frames", 1)


def _of_dicom(file: BinaryIO, size: int, window: Window | None, frame: int) -> Any:
    import numpy

    found = dicom_file.read(file, size)
    if not 0 <= frame < found.frames:
        raise IndexError(frame)
    head = found.header
    interpretation = str(head.get("PhotometricInterpretation") or "MONOCHROME2")
    values = _pixels(file, found, frame)
    if values.ndim == 3:
        if interpretation != "RGB" and not found.encapsulated:
            raise NoPreview
        return _fitted(_pillow().fromarray(values))
    if interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise NoPreview
    padding = head.get("PixelPaddingValue")
    known = values if padding is None else values[values != padding]
    bounds = (known.min(), known.max()) if known.size else (0, 0)
    slope, intercept = _number(head, "RescaleSlope", 1.0), _number(head, "RescaleIntercept", 0.0)
    with numpy.errstate(over="ignore", invalid="ignore"):
        scaled = _reduced(values).astype(numpy.float32) * slope + intercept
    chosen = window or _own_window(head) or _whole(*(float(v) * slope + intercept for v in bounds))
    shown = shades(scaled, chosen)
    # Where the lowest value is white: PS3.3 C.7.6.3.1.2.
    return _pillow().fromarray(255 - shown if interpretation == "MONOCHROME1" else shown)


def _pixels(file: BinaryIO, found: dicom_file.Dicom, frame: int) -> Any:
    """The stored values of one frame, by rows; with a third axis for colours."""
    import numpy

    head = found.header
    shape = int(head.Rows), int(head.Columns)
    if found.encapsulated:
        return _decoded(file, found, frame, shape)
    file.seek(found.start + frame * found.frame_size)
    data = exactly(file, found.frame_size)
    if int(head.SamplesPerPixel) == 3:
        flat = numpy.frombuffer(data, numpy.uint8)
        if int(head.get("PlanarConfiguration") or 0):
            return flat.reshape(3, *shape).transpose(1, 2, 0).copy()
        return flat.reshape(*shape, 3)
    signed = "i" if int(head.get("PixelRepresentation") or 0) else "u"
    allocated = int(head.BitsAllocated)
    values = numpy.frombuffer(data, f"<{signed}{allocated // 8}").reshape(shape)
    unused = allocated - int(head.get("BitsStored") or allocated)
    # What stands above the stored bits (overlays, in old files) is no part of the value.
    return (values << unused) >> unused if 0 < unused < allocated else values


def _decoded(file: BinaryIO, found: dicom_file.Dicom, frame: int, shape: tuple[int, int]) -> Any:
    import numpy

    if found.syntax != _JPEG and found.syntax not in _JPEG_2000:
        raise NoPreview
    places = _places(found, frame)
    if sum(length for _, length in places) > _LARGEST_CODED:
        raise NoPreview
    data = b"".join(_part(file, *place) for place in places)
    if data.count(_SCAN) > jpeg.MAX_SCANS and found.syntax == _JPEG:
        refuse("UNSUPPORTED", f"A JPEG may have {jpeg.MAX_SCANS} scans.")
    values = numpy.asarray(_opened(BytesIO(data), ("JPEG", "JPEG2000")))
    if values.shape[:2] != shape:
        refuse("MALFORMED", "The coded picture has another size than the header says.")
    return values


def _places(found: dicom_file.Dicom, frame: int) -> list[tuple[int, int]]:
    """The fragments of one frame (PS3.5 A.4)."""
    if found.frames == 1:
        return found.fragments
    if len(found.fragments) == found.frames:
        return [found.fragments[frame]]
    if len(found.offsets) != found.frames:
        raise NoPreview
    first = found.fragments[0][0]
    start = found.offsets[frame]
    end = found.offsets[frame + 1] if frame + 1 < found.frames else None
    return [
        place
        for place in found.fragments
        if start <= place[0] - first and (end is None or place[0] - first < end)
    ]


def _part(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return exactly(file, length)


def _of_raster(file: BinaryIO, window: Window | None, frame: int) -> Any:
    import numpy

    file.seek(0)
    image = _opened(file, ("PNG", "JPEG", "TIFF"), frame)
    if image.mode.startswith("I") or image.mode == "F":
        values = _reduced(numpy.asarray(image)).astype(numpy.float32)
        return _pillow().fromarray(
            shades(values, window or _whole(float(values.min()), float(values.max())))
        )
    if window is None:
        # 1 bit and palettes have no shades to make smaller pictures of.
        plain = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
        return _fitted(plain)
    values = _reduced(numpy.asarray(image.convert("L"))).astype(numpy.float32)
    return _pillow().fromarray(shades(values, window))


def _opened(file: BinaryIO, formats: tuple[str, ...], frame: int = 0) -> Any:
    """A decoded picture; ``frame`` of several."""
    try:
        image = _pillow().open(file, formats=formats)
        if not 0 <= frame < getattr(image, "n_frames", 1):
            raise IndexError(frame)
        if frame:
            image.seek(frame)
        image.load()
    except IndexError:
        raise
    except Exception:  # noqa: BLE001 -- decoders fail in many ways
        refuse("MALFORMED", "The pixels of the image cannot be decoded.")
    return image


def _reduced(values: Any) -> Any:
    """``values`` averaged over squares, so that the longer side is PREVIEW at most."""
    import numpy

    step = -(-max(values.shape) // PREVIEW)
    if step == 1:
        return values
    rows, columns = (max(1, n // step) for n in values.shape)
    step_y, step_x = min(step, values.shape[0]), min(step, values.shape[1])
    squares = values[: rows * step_y, : columns * step_x]
    return squares.reshape(rows, step_y, columns, step_x).mean(axis=(1, 3), dtype=numpy.float32)


def _fitted(image: Any) -> Any:
    image.thumbnail((PREVIEW, PREVIEW))
    return image


def _own_window(head: Any) -> Window | None:
    """The first window that the file proposes."""
    center, width = _number(head, "WindowCenter", None), _number(head, "WindowWidth", None)
    named = str(head.get("VOILUTFunction") or "LINEAR")
    function = next((known for known in get_args(Function) if known == named), None)
    if center is None or width is None or width <= 0 or function is None:
        return None
    return Window(center, width, function)


def _whole(low: float, high: float) -> Window:
    """From black at the lowest value to white at the highest."""
    low, high = min(low, high), max(low, high)
    return Window((low + high) / 2, max(high - low, 1e-6), "LINEAR_EXACT")


def _number(head: Any, name: str, default: Any) -> Any:
    """The (first) value as a finite number."""
    try:
        value = head.get(name)
        if value is not None and not isinstance(value, str) and hasattr(value, "__len__"):
            value = value[0]
        number = default if value is None else float(value)
    except (ValueError, TypeError, IndexError):
        return default
    return number if number is None or isfinite(number) else default


def _png(image: Any) -> bytes:
    made = BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


@cache
def _pillow() -> Any:
    from PIL import Image, ImageFile

    # Twice this is refused, also of a picture within a DICOM file.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    warnings.filterwarnings("ignore", module=r"PIL(\..*)?")
    return Image
