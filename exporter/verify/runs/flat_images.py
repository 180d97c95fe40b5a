"""These functions make inputs that show what random numbers never do: images of one colour.

Behind them channels are dead, activations lie at their bounds, and all places of a map are equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....runtime.spec import Spec
from .artifact import Artifact
from .running import Array, Draw, Tensors

if TYPE_CHECKING:
    from ...source.torch_inputs import ModuleInputs

_LARGE = 600_000  # numbers of an image, beyond which two images are enough, one at a time
_PLAIN = (-2.0, 2.0)  # black and white of a model whose preprocessing is unknown


def flat_images(artifact: Artifact, draw: Draw) -> list[Tensors]:
    """An image half black and half white, a black, a white and a grey one, as the artifact's feeds.

    Black and white are what the stored preprocessing makes of 0 and 255.

    Args:
        artifact: The artifact.
        draw: Makes random inputs, for what is no image.

    Returns:
        Feeds, in parts of the artifact's batch; none if no input has the axes of an image.
    """
    drawn = draw(artifact.batch or 1, 0, 0)
    shown = {
        name: _shades(artifact.spec, name, value)
        for name, value in drawn.items()
        if name in artifact.batched and value.ndim > 2 and value.dtype.kind in "fu"
    }
    if not shown:
        return []
    large = any(images[0].size > _LARGE for images in shown.values())
    count, step = (2, 1) if large else (4, 4)
    step = artifact.batch or step
    parts = [np.arange(start, start + step) % count for start in range(0, count, step)]

    def rows_of(name: str, rows: Array) -> Array:
        if name in shown:
            return shown[name][rows]
        value = drawn[name]
        return value[rows % len(value)] if name in artifact.batched else value

    return [{name: rows_of(name, rows) for name in drawn} for rows in parts]


def example_inputs(artifact: Artifact, examples: ModuleInputs) -> list[Tensors]:
    """The example inputs of a module as feeds; none where the artifact takes images as they are."""
    import torch

    if artifact.inside is not None:
        return []
    feeds: Tensors = {}
    for port, example in zip(artifact.ports[0], examples.tensors, strict=False):
        rows = port.shape[0] if port.shape else None
        repeated = torch.cat([example] * rows)[:rows] if isinstance(rows, int) else example
        feeds[port.name] = repeated.detach().numpy()
    return [feeds]


def _shades(spec: Spec, name: str, like: Array) -> Array:
    """The four images, in the type and with the axes of an input."""
    low, high = (np.broadcast_to(one, like.shape[1:]) for one in _bounds(spec, name, like))
    middle = like.shape[2] // 2
    half = np.concatenate([low[:, :middle], high[:, middle:]], axis=1)
    return np.stack([half, low, high, (low + high) / 2]).astype(like.dtype)


def _bounds(spec: Spec, name: str, like: Array) -> tuple[Array, Array]:
    """What the input takes for black and for white."""
    transform = spec.preprocess
    if like.dtype.kind == "u":
        low, high = 0.0, float(np.iinfo(like.dtype).max)
    elif transform is None or transform.input != name:
        low, high = _PLAIN
    else:
        mean, std = np.array(transform.mean), np.array(transform.std)
        axes = (-1, 1, 1) if transform.layout == "nchw" else (-1,)
        low, high = (((level * transform.scale - mean) / std).reshape(axes) for level in (0, 255))
    return np.asarray(low), np.asarray(high)
