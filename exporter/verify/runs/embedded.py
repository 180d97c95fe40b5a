"""This module checks artifacts that take images as they are, with the training transform inside.

Such an artifact is fed uint8 images; its reference is fed what the training transform makes of
them. The transform itself is compared as well, in grey levels: the nodes in the file with the
runtime's, and the runtime's with the one that the user gave, which shares no code with either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from ....runtime.inputs.images import Pixels
from ....runtime.inputs.preprocess import prepare
from ....runtime.spec import Preprocess, Spec
from ...artifact.embed_preprocess import LAST_NODE
from ...errors import VerificationError
from ...graph.ort_session import session_of
from ...source.preprocessing import Transform
from ..verdict.findings import Finding, measured
from .running import Array, Draw, Tensors

_Size: TypeAlias = tuple[int, int]
_TINY: _Size = (7, 10)
# Mean differences in grey levels. The runtime's pixels come out the same but for ties in luma;
# Pillow filters rows and columns in the other order for some shapes, and rounds in between; OpenCV,
# whose resize does not antialias, has weights of eleven bits.
_RUNTIME, _ORIGINAL, _OPENCV = 0.1, 0.5, 0.25


@dataclass(frozen=True)
class Embedded:
    """The transform inside an artifact.

    Attributes:
        pixels: The artifact's input, uint8 [N, height, width, 3].
        name: The value that takes the place of the model's own input.
        dtype: Its type.
        transform: What the nodes between the two should do.
    """

    pixels: str
    name: str
    dtype: npt.DTypeLike
    transform: Preprocess

    @classmethod
    def of(cls, model: ir.Model, spec: Spec) -> Embedded | None:
        """The transform inside ``model``, an artifact; None where there is none.

        Raises:
            VerificationError: The record has one, the graph has none.
        """
        transform = spec.preprocess
        if transform is None or not transform.embedded:
            return None
        value = next((n.outputs[0] for n in model.graph if n.name == LAST_NODE), None)
        if value is None or value.name is None or value.dtype is None:
            raise VerificationError(
                f"the record has embedded preprocessing, but no node is called {LAST_NODE!r}; "
                "export again"
            )
        outside = replace(transform, input=value.name, embedded=None)
        return cls(transform.input, value.name, value.dtype.numpy(), outside)

    def source_feeds(self, feeds: Tensors) -> Tensors:
        """What the model is fed where the artifact is fed ``feeds``, in the same order."""
        return {
            **{self.name if name == self.pixels else name: array for name, array in feeds.items()},
            self.name: np.stack([self.prepared(one) for one in feeds[self.pixels]]),
        }

    def prepared(self, image: Pixels) -> Array:
        """An image as the training transform gives it."""
        return prepare(self.transform, image).astype(self.dtype)

    def random(self, others: Draw) -> Draw:
        """Random images, of a size that needs no resize or, for open sizes that grow, of others.

        Args:
            others: Draws the model's other inputs.
        """
        same, *different = _sizes(self.transform)

        def draw(count: int, grown: int, seed: int) -> Tensors:
            feeds = others(count, 0, seed)
            size = different[seed % len(different)] if grown else same
            generator = np.random.default_rng(seed)
            # Of a grey model the luma, whose ties are rounded either way, must be exact.
            colours = 1 if self.transform.is_grey else 3
            noise = generator.integers(0, 256, (len(feeds[self.pixels]), *size, colours), np.uint8)
            return {**feeds, self.pixels: np.broadcast_to(noise, (*noise.shape[:3], 3)).copy()}

        return draw

    def model_behind(self, model: ir.Model, spec: Spec) -> ir.Model:
        """The model that takes the transform's result, cut out of an artifact.

        A model that takes no pixels is returned unchanged.
        """
        graph = model.graph
        if all(value.name != self.pixels for value in graph.inputs):
            return model
        own = {*spec.own_inputs, *spec.own_outputs, self.pixels, self.name}
        inputs = [self.name, *(v.name or "" for v in graph.inputs if v.name not in own)]
        outputs = [layer.value for layer in spec.layers]
        outputs += [one.score.value for one in spec.by_output()]
        outputs += [value.name or "" for value in graph.outputs if value.name not in own]
        cut = ir.convenience.extract(graph, inputs, list(dict.fromkeys(outputs)))
        return ir.Model(cut, ir_version=model.ir_version)

    def check(self, model: ir.Model, folder: Path, images: Sequence[Pixels]) -> Finding:
        """Compare the nodes inside ``model``, an artifact, with the runtime's transform."""
        cut = ir.convenience.extract(model.graph, [self.pixels], [self.name])
        session = session_of(ir.Model(cut, ir_version=model.ir_version), folder)

        def inside(image: Pixels) -> Array:
            return session.run(None, {self.pixels: image[None]})[0][0]

        what = "the embedded preprocessing is {} the runtime's"
        bound = _RUNTIME if self.transform.antialias is None else _OPENCV
        return _compared(self.transform, inside, self.prepared, images, bound, what)


def check_original(transform: Preprocess, original: Transform, images: Sequence[Pixels]) -> Finding:
    """Compare the stored transform with the one that the user gave."""
    transform = replace(transform, embedded=None)
    what = "the stored preprocessing is {} the training transform's"

    def stored(image: Pixels) -> Array:
        return prepare(transform, image)

    def given(image: Pixels) -> Array:
        # The model's own pipeline reads grey images as such.
        if len(transform.mean) > 1:
            return original(image)
        return original(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False))

    return _compared(transform, stored, given, images, _ORIGINAL, what)


def trial_images(transform: Preprocess) -> Iterator[Pixels]:
    """Noise and smooth waves, larger and smaller than the input, wide, tall and tiny."""
    generator = np.random.default_rng(0)
    for height, width in (*_sizes(transform), _TINY):
        yield generator.integers(0, 256, (height, width, 3), np.uint8)
        rows, columns = np.ogrid[:height, :width, :1][:2]
        waves = np.sin(rows / height * [9, 4, 7]) * np.cos(columns / width * [5, 8, 3])
        yield np.rint(127 + 127 * waves).astype(np.uint8)


def _sizes(transform: Preprocess) -> list[_Size]:
    """A size of image that the transform leaves as it is, and some that it resizes."""
    height, width = transform.size
    target = transform.resize or transform.size
    same = target[0], target[-1]
    if transform.resize and transform.resize_mode in ("shorter", "longer"):
        longer = transform.resize_mode == "longer"
        same = target[0], target[0] * 7 // 8 if longer else target[0] * 9 // 8 + 1
    return [
        same,
        (height * 3 // 2 + 5, width * 5 // 4 + 2),
        (height // 2 + 3, width * 2 // 3 + 2),
        (height + 2, width * 2 + 1),
    ]


def _compared(
    transform: Preprocess, have: Transform, want: Transform, images: Sequence[Pixels],
    bound: float, what: str,
) -> Finding:  # fmt: skip
    """The largest mean difference, over the images, of two transforms."""
    level: npt.NDArray[Any] = transform.scale / np.array(transform.std)
    level = level if transform.layout == "nhwc" else level[:, None, None]
    worst, where = 0.0, images[0]
    for image in images:
        one, other = (np.asarray(side(image), np.float64) for side in (have, want))
        alike = one.shape == other.shape
        error = float(np.abs((one - other) / level).mean()) if alike else np.inf
        worst, where = (worst, where) if error <= worst else (error, image)
    height, width = where.shape[:2]
    off = what.format(f"{worst:.2g} grey levels off")
    reason = f"{off} on an image of {width} x {height} pixels ({bound} allowed)"
    return measured("metadata", "preprocess", worst, bound, reason)
