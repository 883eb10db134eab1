"""What a picture of an image looks like: window and level, rescaling, inversion, size."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate

from functions.xray.domain import rendering
from functions.xray.domain.limits import NoPreview
from functions.xray.domain.signatures import DICOM, PNG
from functions.xray.domain.window import Window, shades
from infra.images import dicom, pixels, raster

JPEG = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
EIGHT = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}


def _shown(data: bytes, window: Window | None = None, frame: int = 0, kind: Any = DICOM) -> Any:
    picture = rendering.picture(BytesIO(data), len(data), kind, window, frame)
    return numpy.asarray(Image.open(BytesIO(picture)))


def _as_written(value: float, center: float, width: float) -> float:
    """DICOM PS3.3 C.11.2.1.2.1, word for word."""
    if value <= center - 0.5 - (width - 1) / 2:
        return 0
    if value > center - 0.5 + (width - 1) / 2:
        return 255
    return ((value - (center - 0.5)) / (width - 1) + 0.5) * 255


@given(st.floats(-70_000, 70_000), st.floats(-70_000, 70_000), st.floats(1.5, 100_000))
def test_the_linear_function_is_dicoms(value: float, center: float, width: float) -> None:
    """The ramp is the standard's, for every value, centre and width."""
    shown = int(shades(numpy.array([value]), Window(center, width))[0])
    assert abs(_as_written(value, center, width) - shown) <= 0.5 + 1e-6


def test_examples_of_the_standard() -> None:
    """PS3.3 C.11.2.1.2.1: centre 2048 and width 4096 leave a ramp from 0 to 4095; centre 0 and
    width 1 make a threshold at minus a half."""
    ramp = shades(numpy.array([0.0, 2047.5, 4095.0]), Window(2048, 4096))
    assert [0, 128, 255] == ramp.tolist()
    assert [0, 0, 255] == shades(numpy.array([-1.0, -0.5, 0.0]), Window(0, 1)).tolist()


def test_the_other_functions() -> None:
    """SIGMOID bends, LINEAR_EXACT takes the width as it is (C.11.2.1.3)."""
    values = numpy.array([-1e6, 100.0, 200.0, 1e6])
    assert [0, 128, 225, 255] == shades(values, Window(100, 200, "SIGMOID")).tolist()
    assert [0, 128, 255, 255] == shades(values, Window(100, 200, "LINEAR_EXACT")).tolist()


def test_the_file_proposes_the_window() -> None:
    """Without a window of the caller's, the file's own applies; several: the first."""
    data = dicom(tags={"WindowCenter": [1000, 3000], "WindowWidth": [200, 400]})
    own = _shown(data)
    assert (own == _shown(data, Window(1000, 200))).all()
    assert (own != _shown(data, Window(3000, 400))).any()


def test_a_file_without_a_window_shows_everything() -> None:
    """From its lowest value to its highest; padding is neither."""
    data = dicom(tags={"WindowCenter": None, "WindowWidth": None})
    shown = _shown(data)
    assert (0, 255) == (shown.min(), shown.max())
    padded = pixels().copy()
    padded[0, 0] = 65_535
    tags = {"WindowCenter": None, "WindowWidth": None, "PixelPaddingValue": 65_535}
    tags |= {"BitsStored": 16, "HighBit": 15}
    again = _shown(dicom(data=padded.tobytes(), tags=tags))
    assert abs(int(again[60, 80]) - int(shown[60, 80])) <= 1


def test_the_window_is_in_the_units_of_the_image() -> None:
    """Slope and intercept come first: the same picture through another scale."""
    plain = _shown(dicom(), Window(2000, 800))
    tags = {"RescaleSlope": "2", "RescaleIntercept": "-1000"}
    scaled = _shown(dicom(tags=tags), Window(2000 * 2 - 1000, 800 * 2 - 1))
    assert int(abs(plain.astype(int) - scaled.astype(int)).max()) <= 1


def test_monochrome1_is_inverted() -> None:
    """Where the lowest value is white, the picture is the other's negative."""
    data = dicom(tags={"PhotometricInterpretation": "MONOCHROME1"})
    assert (255 - _shown(dicom()) == _shown(data)).all()


def test_signed_values_and_unused_bits() -> None:
    """Negative values are dark; what stands above the stored bits is no part of a value."""
    signed = (pixels().astype(numpy.int16) - 2048).astype("<i2")
    tags = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    shown = _shown(dicom(data=signed.tobytes(), tags=tags), Window(0, 4096))
    assert int(abs(shown.astype(int) - _shown(dicom()).astype(int)).max()) <= 1
    overlaid = (pixels() | 0xF000).astype("<u2")
    assert (_shown(dicom(data=overlaid.tobytes())) == _shown(dicom())).all()


def test_each_frame_is_shown() -> None:
    """A frame of several, by its number; there is none beyond the last."""
    both = pixels().tobytes() + pixels()[::-1].tobytes()
    data = dicom(data=both, tags={"NumberOfFrames": "2"})
    assert (_shown(data, frame=1) == _shown(dicom())[::-1]).all()
    with pytest.raises(IndexError):
        _shown(data, frame=2)


def test_coded_pixels_are_shown() -> None:
    """JPEG baseline and JPEG 2000 within DICOM, one frame or several; RLE is kept and not shown."""
    small = (pixels() >> 4).astype(numpy.uint8)
    coded = raster("JPEG", quality=95)
    tags = {**EIGHT, "WindowCenter": None, "WindowWidth": None}
    shown = _shown(dicom(data=encapsulate([coded]), syntax=JPEG, tags=tags), Window(128, 256))
    assert float(abs(shown.astype(int) - small.astype(int)).mean()) < 3
    two = encapsulate([coded, raster("JPEG", quality=10)])
    frames = dicom(data=two, syntax=JPEG, tags={**tags, "NumberOfFrames": "2"})
    assert (_shown(frames, Window(128, 256)) == shown).all()
    assert (_shown(frames, Window(128, 256), frame=1) != shown).any()
    exact = BytesIO()
    Image.fromarray(pixels()).save(exact, "JPEG2000", irreversible=False, no_jp2=True)
    lossless = dicom(data=encapsulate([exact.getvalue()]), syntax=JPEG_2000)
    assert (_shown(lossless) == _shown(dicom())).all()
    with pytest.raises(NoPreview):
        _shown(dicom(data=encapsulate([bytes(100)]), syntax=RLE))


def test_colours_stay_colours() -> None:
    """An RGB image is shown as it is, also when its colours lie in planes."""
    small = (pixels() >> 4).astype(numpy.uint8)
    rgb = numpy.stack([small, small // 2, small // 4], axis=2)
    tags = {**EIGHT, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    for planes, data in ((0, rgb), (1, rgb.transpose(2, 0, 1))):
        made = dicom(data=data.tobytes(), tags={**tags, "PlanarConfiguration": planes})
        assert (rgb == _shown(made)).all()


def test_a_large_image_is_made_smaller() -> None:
    """A picture has 2048 pixels a side at most, and a thumbnail 256; squares are averaged."""
    large = numpy.kron(pixels(), numpy.ones((20, 20), numpy.uint16))
    data = dicom(data=large.tobytes(), tags={"Rows": 2400, "Columns": 3200})
    shown = _shown(data)
    assert (1200, 1600) == shown.shape
    assert (shown[::10, ::10] == _shown(dicom())).all()
    picture = rendering.picture(BytesIO(data), len(data), DICOM)
    assert (256, 192) == Image.open(BytesIO(rendering.thumbnail(picture))).size


def test_sixteen_bits_of_a_png() -> None:
    """A deep PNG is shown over its whole range, or through a window of stored values."""
    data = raster("PNG", bits=16)
    shown = _shown(data, kind=PNG)
    assert (numpy.uint8, 0, 255) == (shown.dtype, shown.min(), shown.max())
    through = _shown(data, Window(2048 * 16, 4096 * 16), kind=PNG)
    assert int(abs(through.astype(int) - _shown(dicom()).astype(int)).max()) <= 1
