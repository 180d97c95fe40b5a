"""`bind` fits a training transform to the model's input that it feeds."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ...runtime.spec import Preprocess
from ..errors import CaptureError
from ..graph.emitter import dims_of
from ..source.preprocess_words import Unsized

_IMAGE_TYPES = (
    ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.UINT8,
)  # fmt: skip
_COLOURS = (1, 3)


def bind(preprocess: Preprocess | Unsized | None, graph: ir.Graph) -> Preprocess | None:
    """Name the input that the transform feeds, and compare their shapes.

    By default it is the first that takes images, [N, C, H, W]: of text and image, the second.
    A mean and std of one entry stand for all channels of an input that takes three.

    Raises:
        CaptureError: There is no such input, or it does not take what the transform gives.
    """
    if preprocess is None:
        return None
    inputs = {value.name or "": value for value in graph.inputs}
    if preprocess.input and preprocess.input not in inputs:
        raise CaptureError(
            f"the preprocessing names input {preprocess.input!r}; the model has {list(inputs)}"
        )
    images = [name for name, value in inputs.items() if _takes_images(value)]
    preprocess = replace(preprocess, input=preprocess.input or next(iter([*images, *inputs])))
    value = inputs[preprocess.input]
    if value.dtype is not None and value.dtype not in _IMAGE_TYPES:
        raise CaptureError(
            f"the preprocessing gives float images, input {value.name!r} takes {value.dtype.name}; "
            f"name the input that takes images: the model has {list(inputs)}"
        )
    if isinstance(preprocess, Unsized):
        preprocess = _sized(preprocess, value)
    if value.shape is None:
        return preprocess
    dims, last = dims_of(value), preprocess.layout == "nhwc"
    colours = dims[-1 if last else 1] if len(dims) == 4 else None
    if len(preprocess.mean) == 1 and colours == 3:
        wide = {name: 3 * list(getattr(preprocess, name)) for name in ("mean", "std")}
        preprocess = replace(preprocess, **wide)
    elif len(preprocess.mean) == 1 and preprocess.channels == "grey":
        preprocess = replace(preprocess, channels=None)  # one channel is luma without saying so
    elif len(preprocess.mean) == 1 and preprocess.channels == "bgr":
        raise CaptureError(
            f"the preprocessing orders channels as bgr, input {value.name!r} takes one: {dims}; "
            "leave bgr out"
        )
    given = [len(preprocess.mean), *preprocess.size]
    given = [*given[1:], given[0]] if last else given
    pairs = zip(dims[1:], given, strict=False)
    fits = (not isinstance(have, int) or have == want for have, want in pairs)
    if len(dims) != 4 or not all(fits):
        raise CaptureError(
            f"the preprocessing gives images [N, {', '.join(map(str, given))}], input "
            f"{value.name!r} takes {dims}; give a Preprocess of that size, layout and number of "
            "channels"
        )
    return preprocess


def _sized(transform: Unsized, value: ir.Value) -> Preprocess:
    """The transform for the size of the input that it feeds.

    Raises:
        CaptureError: The input leaves its size open.
    """
    dims = [] if value.shape is None else dims_of(value)
    last = len(dims) == 4 and dims[1] not in _COLOURS and dims[3] in _COLOURS
    sides = dims[1:3] if last else dims[2:4]
    height, width = (side if isinstance(side, int) else None for side in [*sides, None, None][:2])
    if height is None or width is None:
        raise CaptureError(
            f"input {value.name!r} takes {dims}, so the size of the images is unknown; give a "
            "Preprocess(size=(height, width), ...), or --shape"
        )
    return transform.sized(height, width, "nhwc" if last else "nchw")


def _takes_images(value: ir.Value) -> bool:
    return value.dtype in _IMAGE_TYPES and value.shape is not None and len(value.shape) == 4
