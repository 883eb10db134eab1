"""Grey values for eyes: the modality's units, then window centre and width, then eight bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Function", "Window", "shades"]

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True, slots=True)
class Window:
    """The values between which an eye sees differences. ``width``: at least 1 for LINEAR, and
    above 0 for the others."""

    center: float
    width: float
    function: Function = "LINEAR"


def shades(values: Any, window: Window) -> Any:
    """``values`` (an array of floats) as 0 to 255: DICOM PS3.3 C.11.2.1.2.1 for LINEAR,
    C.11.2.1.3.1 for SIGMOID and C.11.2.1.3.2 for LINEAR_EXACT. What is no number is black."""
    import numpy

    with numpy.errstate(over="ignore", invalid="ignore"):
        shown = numpy.nan_to_num(_shades(values, window))
    return numpy.rint(shown).astype(numpy.uint8)


def _shades(values: Any, window: Window) -> Any:
    import numpy

    center, width = window.center, window.width
    if window.function == "SIGMOID":
        shown = 255 / (1 + numpy.exp(-4 * (values - center) / width))
    elif window.function == "LINEAR_EXACT":
        shown = _ramp(values, center, width)
    elif width <= 1:
        # C.11.2.1.2.1: with a width of 1 this is a threshold.
        shown = numpy.where(values <= center - 0.5, 0, 255)
    else:
        shown = _ramp(values, center - 0.5, width - 1)
    return shown


def _ramp(values: Any, middle: float, length: float) -> Any:
    import numpy

    return numpy.clip((values - middle) / length + 0.5, 0, 1) * 255
