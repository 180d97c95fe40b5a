"""A `SignalView` shows values over time as lines, with a map as colour behind and below them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels
from ..render import Heatmap, interpolation, tinted
from ..render.palettes import Palette
from ..render.styles import LEVELS
from ..render.text import GREY, text_width, write
from .shades import shaded
from .view import Drawing, View

_LEFT, _RIGHT, _TOP = 56, 20, 10
_WIDTH = 924  # of the lines, in pixels
_BAND, _GAP, _AXIS = 22, 8, 40  # heights: the band of colour, the space above it, the time axis
_LANES = 16  # with more channels than this, they are shown as grey levels
_SIZE = 8.5  # height of a capital

_INK, _FAINT = (28, 60, 96), (206, 212, 218)
_LINES = (228, 228, 228)


class SignalView(View):
    """A signal of one or more channels, such as sound, an ECG or an EEG."""

    white = True

    def __init__(
        self,
        values: NDArray[Any],
        channel: int | None,
        step: float | None = None,
        unit: str = "",
    ) -> None:
        """Show a signal.

        Args:
            values: [L], [C, L] or [L, C].
            channel: The axis of the channels.
            step: Time from one value to the next; None: the axis counts values.
            unit: The unit of ``step``.
        """
        rows = values[None] if channel is None else np.moveaxis(values, channel, 0)
        self._rows = rows.astype(np.float32)
        self._step, self._unit = (step, unit) if step else (1.0, "")
        self.shape = (rows.shape[1],)
        lanes = len(rows)
        self._lane = 180 if lanes == 1 else max(44, 300 // lanes)
        self._tall = self._lane * lanes if lanes <= _LANES else 320

    def draw_alone(self) -> Pixels:
        """Draw the lines and the time axis."""
        canvas = self._canvas()
        self._draw_signal(canvas, np.ones(_WIDTH, np.float32))
        return canvas

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the map as the style says.

        ``overlay``: colour behind the lines and in a band below; ``heatmap``: the colour alone;
        ``contour``: a curve of the map over paler lines; ``mask``: lines that fade where there is
        no evidence.
        """
        style, canvas = drawing.look.style, self._canvas()
        values = interpolation(len(drawing.values), _WIDTH) @ drawing.values
        colours, strength = drawing.palette.paint(values), np.abs(values)
        lanes = canvas[_TOP : _TOP + self._tall, _LEFT : _LEFT + _WIDTH]
        if style == "heatmap":
            lanes[:] = colours[None]
        else:
            plain = np.full_like(values, 0.4 if style == "contour" else 1)
            self._draw_signal(canvas, strength if style == "mask" else plain)
        if style == "overlay":
            lanes[:] = tinted(lanes, values, drawing.palette, drawing.look)
        if style == "contour":
            self._draw_curve(lanes, values, drawing.palette)
        top = _TOP + self._tall + _GAP
        canvas[top : top + _BAND, _LEFT : _LEFT + _WIDTH] = colours[None]
        write(canvas, "map", 8, top + _BAND - 7, _SIZE, GREY)
        return canvas

    def summary(self) -> dict[str, Any]:
        """Return the shape, and the time between values if it is known."""
        step = {"step": self._step, "unit": self._unit} if self._unit else {}
        return {**super().summary(), **step}

    def _canvas(self) -> Pixels:
        """Return white ground with names of channels and the time axis."""
        height = _TOP + self._tall + _GAP + _BAND + _AXIS
        canvas = np.full((height, _LEFT + _WIDTH + _RIGHT, 3), 255, np.uint8)
        count = len(self._rows)
        for channel in range(count if 1 < count <= _LANES else 0):
            middle = _TOP + channel * self._lane + self._lane // 2
            write(canvas, str(channel), _LEFT - 24, middle + 4, _SIZE, GREY)
        if count > _LANES:
            write(canvas, "0", _LEFT - 24, _TOP + 10, _SIZE, GREY)
            write(canvas, str(count - 1), _LEFT - 34, _TOP + self._tall, _SIZE, GREY)
        base = _TOP + self._tall + _GAP + _BAND + 4
        canvas[base, _LEFT : _LEFT + _WIDTH] = GREY
        ends = self.shape[0] * self._step
        for at, text in ticks(ends, self._unit):
            x = min(_LEFT + round(at / ends * _WIDTH), _LEFT + _WIDTH - 1)
            canvas[base : base + 5, x] = GREY
            canvas[_TOP : _TOP + self._tall, x] = _LINES
            left = min(max(x - text_width(text, _SIZE) // 2, 0), canvas.shape[1] - 60)
            write(canvas, text, left, base + 20, _SIZE, GREY)
        return canvas

    def _draw_signal(self, canvas: Pixels, weight: Heatmap) -> None:
        """Draw all channels; ``weight`` [width] is 1 where lines are dark, 0 where they are pale.

        All channels share one scale, so that their heights can be compared.
        """
        lanes = canvas[_TOP : _TOP + self._tall, _LEFT : _LEFT + _WIDTH]
        if len(self._rows) > _LANES:
            size = (_WIDTH, self._tall)
            levels = cv2.resize(shaded(self._rows), size, interpolation=cv2.INTER_AREA)
            faded = 255 - weight[None] * (255 - levels.astype(np.float32))
            lanes[:] = np.rint(faded)[:, :, None].astype(np.uint8)
            return
        finite = self._rows[np.isfinite(self._rows)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        middle, half = (low + high) / 2, (high - low) / 2 or 1.0
        ink = np.zeros(lanes.shape[:2], np.uint8)
        for channel, row in enumerate(self._rows):
            centre = channel * self._lane + self._lane / 2
            heights = centre - (np.clip(row, low, high) - middle) / half * (self._lane / 2 - 6)
            _draw_line(ink, heights)
        colours = _mix(_FAINT, _INK, weight)
        share = ink[:, :, None] / np.float32(255)
        lanes[:] = np.rint(lanes + share * (colours[None] - lanes)).astype(np.uint8)

    def _draw_curve(self, lanes: Pixels, values: Heatmap, palette: Palette) -> None:
        """Draw the map itself as a curve, with lines at a quarter, half and three quarters."""
        low = -1.0 if palette.signed else 0.0
        below = len(lanes) - 3
        levels = [*LEVELS, *(-level for level in LEVELS)] if palette.signed else LEVELS
        for level in levels:
            row = round(below - (level - low) / (1 - low) * (below - 2))
            lanes[row, ::4] = GREY
        ink = np.zeros(lanes.shape[:2], np.uint8)
        _draw_line(ink, below - (values - low) / (1 - low) * (below - 2), width=2)
        share = ink[:, :, None] / np.float32(255)
        colour = palette.paint(np.ones(1, np.float32))[0].astype(np.float32)
        lanes[:] = np.rint(lanes + share * (colour - lanes)).astype(np.uint8)


def ticks(ends: float, unit: str) -> list[tuple[float, str]]:
    """Return about eight round places on an axis from 0 to ``ends``, with their labels."""
    rough = ends / 8
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    if not unit:
        step = max(step, 1.0)
    places = [float(step * number) for number in range(int(ends / step + 1e-9) + 1)]
    return [(at, f"{at:.6g}{f' {unit}' if unit and at else ''}") for at in places]


def _draw_line(ink: NDArray[np.uint8], heights: NDArray[Any], width: int = 1) -> None:
    """Draw a line through rows ``heights`` [L]; of a dense signal, its range in each column."""
    rows, columns = ink.shape
    count = len(heights)
    heights = np.nan_to_num(heights, nan=rows / 2, posinf=0, neginf=rows - 1)
    if count <= 2 * columns:
        across = (np.arange(count) + 0.5) * columns / count - 0.5
        points = np.stack([across, heights], axis=1)
        fixed = np.rint(points * 16).astype(np.int32)  # OpenCV's fixed point: 4 bits of fraction
        if count == 1:
            cv2.line(ink, (0, round(heights[0])), (columns - 1, round(heights[0])), 255, width)
        cv2.polylines(ink, [fixed[:, None]], False, 255, width, cv2.LINE_AA, shift=4)
        return
    starts = np.arange(columns) * count // columns
    tops = np.minimum.reduceat(heights, starts)
    bottoms = np.maximum.reduceat(heights, starts)
    # Neighbouring columns touch, as the line does that they stand for.
    tops[1:] = np.minimum(tops[1:], heights[starts[1:] - 1])
    bottoms[1:] = np.maximum(bottoms[1:], heights[starts[1:] - 1])
    places = np.arange(rows)[:, None]
    covered = (places >= np.floor(tops)) & (places <= np.ceil(bottoms))
    ink[covered] = 255


def _mix(first: tuple[int, ...], second: tuple[int, ...], share: Heatmap) -> NDArray[np.float32]:
    """Return colours [len(share), 3] from ``first`` to ``second``."""
    one, other = (np.array(colour, np.float32) for colour in (first, second))
    return (one + np.clip(share, 0, 1)[:, None] * (other - one)).astype(np.float32)
