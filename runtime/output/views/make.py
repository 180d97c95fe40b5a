"""`view_of` chooses the view of an input, from its value and the form of its axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...inputs.form import Form
from ...inputs.image_files import Pixels
from ...inputs.values import Photo, Tensor, Value
from ...spec import Preprocess
from .bare import BareView
from .photo import PhotoView
from .plane import PlaneView
from .signal import SignalView
from .text import TextView
from .view import View
from .volume import FramesView, VolumeView


def view_of(
    value: Value,
    form: Form | None,
    cells: Sequence[int],
    transform: Preprocess | None = None,
    texts: Sequence[str] | None = None,
    prefix: int = 0,
) -> View:
    """Return the view of one input.

    Args:
        value: What the model got.
        form: How to read its axes; None: maps cannot be placed on it.
        cells: Extents of the maps.
        transform: The preprocessing whose result a tensor is.
        texts: Of tokens: their texts, for the positions that are shown; None: the ids.
        prefix: Of tokens: positions at the start that the maps leave out.
    """
    if isinstance(value, Photo) and len(cells) == 2:
        return PhotoView(value.pixels, value.placement)
    if form is None or isinstance(value, Photo):
        return BareView(cells)
    row = value.values
    if form.kind == "tokens":
        shown = [str(one) for one in row.tolist()] if texts is None else texts
        return TextView(shown, prefix, len(row))
    if form.kind == "signal":
        step = value.spacing[0] if value.unit == "s" and value.spacing else None
        return SignalView(row, form.channel, step, value.unit)
    if form.kind == "plane":
        pixels = _undone(value, transform)
        return PlaneView(row, form.channel) if pixels is None else PlaneView(pixels, 2)
    if form.kind == "volume":
        scan = value.unit == "mm"
        return VolumeView(row, form.channel, value.spacing if scan else None, scan=scan)
    return FramesView(row, form.channel)


def _undone(value: Tensor, transform: Preprocess | None) -> Pixels | None:
    """Return the image [H, W, 3] that the preprocessing made into a tensor."""
    if transform is None or transform.embedded or value.values.ndim != 3:
        return None
    planes = value.values if transform.layout == "nchw" else np.moveaxis(value.values, -1, 0)
    mean, std = (np.array(v)[:, None, None] for v in (transform.mean, transform.std))
    image = np.clip((planes * std + mean) / transform.scale, 0, 255)
    image = np.rint(np.moveaxis(image, 0, -1)).astype(np.uint8)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
