"""`make_feeds` makes the inputs of a measurement: random tensors, or an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError, InputError
from ...inputs.images import as_rgb
from ...inputs.preprocess import prepare
from ...session.session import Port, Session, Tensors
from ...spec import Preprocess


def make_feeds(
    artifact: Session,
    batch: int | None = None,
    sizes: Sequence[int] | None = None,
    image: str | Path | None = None,
    seed: int = 0,
) -> Tensors:
    """Make a tensor for every input that the model itself requires.

    Args:
        artifact: The artifact.
        batch: Number of images; None: the extent of a fixed batch axis, else 1.
        sizes: Extents of the open axes after the batch axis, in their order; None: those of the
            stored preprocessing.
        image: An image to feed, repeated to fill the batch; None: random numbers.
        seed: Seed of the random numbers.

    Raises:
        InputError: The batch differs from a fixed one, or sizes are missing or too many.
        ImageError: The image cannot be read, or the artifact stores no preprocessing.
    """
    ports, name, transform = artifact.model_inputs, artifact.path.name, artifact.spec.preprocess
    if sizes is not None and not any(_open(port) for port in ports):
        raise InputError(f"{name} leaves no size open; leave out the sizes {list(sizes)}")
    images = _batch(name, ports, batch)
    random = np.random.default_rng(seed)
    feeds = {
        port.name: _numbers(port, _shape(port, images, sizes, transform), random) for port in ports
    }
    if image is not None:
        if transform is None:
            raise ImageError(f"{name} stores no preprocessing; leave the image out")
        pixels = prepare(transform, as_rgb(image, artifact.max_pixels))
        dtype = feeds[transform.input].dtype
        feeds[transform.input] = np.stack([pixels] * images).astype(dtype)
    return feeds


def _batch(name: str, ports: Sequence[Port], requested: int | None) -> int:
    fixed = ports[0].shape[0] if ports and ports[0].shape else None
    if any(port.shape and port.shape[0] is None for port in ports) or fixed is None:
        return requested or 1
    if requested not in (None, fixed):
        raise InputError(
            f"{name} takes only batches of {fixed}, not {requested}; give {fixed}, or export it "
            "with an open batch axis"
        )
    return fixed


def _open(port: Port) -> list[int]:
    """Return the open axes after the first."""
    return [axis for axis, extent in enumerate(port.shape) if axis and extent is None]


def _shape(
    port: Port, batch: int, sizes: Sequence[int] | None, transform: Preprocess | None
) -> list[int]:
    shape, axes = [batch if extent is None else extent for extent in port.shape], _open(port)
    if sizes is None and transform is not None and port.name == transform.input:
        sizes = transform.size
    if axes and len(axes) != len(sizes or []):
        shown = ["any" if extent is None else extent for extent in port.shape]
        raise InputError(
            f"input '{port.name}' has shape {shown}: give {len(axes)} sizes for its open axes "
            f"after the first, not {len(sizes or [])}"
        )
    for axis, extent in zip(axes, sizes or [], strict=False):
        shape[axis] = extent
    return shape


def _numbers(port: Port, shape: Sequence[int], random: np.random.Generator) -> NDArray[Any]:
    if port.dtype is None:
        raise InputError(f"input '{port.name}' has a type without random numbers")
    dtype = np.dtype(port.dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape, np.float32).astype(dtype)
    # uint8 are pixels. Other integers are counts or indices, for which 0 and 1 are always valid.
    return random.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)
