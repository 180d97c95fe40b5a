"""A value is what one example has for one input of a model: a photograph, or a tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.session import Port, fits
from ..spec import Preprocess
from .image_files import Pixels
from .preprocess import Placement, place, prepare


@dataclass(frozen=True, eq=False)
class Photo:
    """An image that the stored preprocessing makes into a row of the model's input.

    Attributes:
        pixels: RGB uint8 [H, W, 3].
        transform: The preprocessing.
    """

    pixels: Pixels
    transform: Preprocess

    @property
    def placement(self) -> Placement:
        """The geometry between the image and the model's input."""
        return place(self.transform, *self.pixels.shape[:2])

    @property
    def kind(self) -> tuple[int, ...]:
        """Equal for photographs that can share one run of the artifact."""
        # A graph with embedded preprocessing takes raw images in one tensor, hence of one size.
        return self.pixels.shape if self.transform.embedded else ()

    def row(self) -> NDArray[Any]:
        """Return the model's input, without the batch axis."""
        return prepare(self.transform, self.pixels)

    def prepared(self) -> Photo:
        """Return the same photograph with its row, which is not computed again."""
        return PreparedPhoto(self.pixels, self.transform, self.row())


@dataclass(frozen=True, eq=False)
class PreparedPhoto(Photo):
    """A photograph whose row is computed already, by another thread than the model's.

    Attributes:
        ready: The row.
    """

    ready: NDArray[Any]

    def row(self) -> NDArray[Any]:
        """Return the row."""
        return self.ready


@dataclass(frozen=True, eq=False)
class Tensor:
    """One row of an input, as the model takes it.

    Attributes:
        values: The row, without the batch axis.
        spacing: Distance between neighbours along each of the last axes, if the file says so.
        unit: The unit of ``spacing``: ``s`` for sound, ``mm`` for scans.
    """

    values: NDArray[Any]
    spacing: tuple[float, ...] | None = None
    unit: str = ""

    @property
    def kind(self) -> tuple[int, ...]:
        """Equal for tensors that can share one run of the artifact."""
        return self.values.shape

    @property
    def description(self) -> str:
        """Describe the values, for messages."""
        text = f"{self.values.dtype} {list(self.values.shape)}"
        if self.unit == "s" and self.spacing is not None:
            channels, count = self.values.shape
            text += f" ({channels} channel{'s' * (channels != 1)} of {count} samples, "
            text += f"{1 / self.spacing[0]:.0f} Hz)"
        return text

    def row(self) -> NDArray[Any]:
        """Return the row itself."""
        return self.values

    def prepared(self) -> Tensor:
        """Return the tensor, which is a row already."""
        return self


Value: TypeAlias = Photo | Tensor


def describe_port(port: Port, *, name: bool = True) -> str:
    """Describe what an input takes: ``'table' float32 [batch, 4]``."""
    dtype = "values" if port.dtype is None else np.dtype(port.dtype).name
    extents = ["any" if extent is None else str(extent) for extent in port.shape]
    if port.shape[:1] == (None,):
        extents[0] = "batch"
    return f"'{port.name}' " * name + f"{dtype} [{', '.join(extents)}]"


def fit_row(tensor: Tensor, port: Port, origin: str) -> Tensor:
    """Return a tensor as one row of an input: cast, without the batch axis.

    The batch axis may be missing, or have extent 1; an input of one channel also takes values
    without the axis of the channel.

    Args:
        tensor: Numbers as the caller has them.
        port: The input.
        origin: What to call the values in a message.

    Raises:
        InputError: The values have another shape, or cannot be cast.
    """
    values = tensor.values
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"{origin} holds {values.dtype}; input {describe_port(port)} takes numbers"
        )
    if fits(values.shape, port.shape) and len(values) == 1:
        values = values[0]
    elif not fits(values.shape, port.shape[1:]):
        one_channel = len(port.shape) > 2 and port.shape[1] == 1
        if not (one_channel and fits(values.shape, port.shape[2:])):
            raise InputError(_wrong_shape(tensor, port, origin))
        values = values[None]
    return replace(tensor, values=_cast(values, port, origin))


def is_row_batch(values: NDArray[Any], port: Port) -> bool:
    """Whether an array has an input's batch axis, and therefore holds one or more rows."""
    return values.ndim == len(port.shape) and fits(values.shape[1:], port.shape[1:])


def _wrong_shape(tensor: Tensor, port: Port, origin: str) -> str:
    values, seen = tensor.values, f"{origin} is {tensor.description}"
    wanted = f"input {describe_port(port)}"
    if tensor.unit:
        return f"{seen}, which does not fit {wanted}; convert it, or pass an array"
    if is_row_batch(values, port):
        return f"{seen}: {len(values)} rows of {wanted}; pass one of them"
    left_out = [1, 2] if len(port.shape) > 2 and port.shape[1] == 1 else [1]
    turned = any(fits(values.shape[::-1], port.shape[axes:]) for axes in left_out)
    hint = (
        "its axes fit in reverse order: pass array.T"
        if turned
        else ("the batch axis may be left out")
    )
    return f"{seen}, which does not fit {wanted}; {hint}"


def _cast(values: NDArray[Any], port: Port, origin: str) -> NDArray[Any]:
    """Return values in an input's type, if that changes nothing but their precision."""
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(f"{origin} holds NaN at {int(np.isnan(values).sum())} places; replace it")
    if port.dtype is None or values.dtype == port.dtype:
        return np.array(values, order="C")
    wanted = np.dtype(port.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        made = values.astype(wanted)
    if wanted.kind == "f":
        same = np.array_equal(np.isfinite(made), np.isfinite(values))
    else:
        same = np.array_equal(made.astype(values.dtype), values)
        if values.size and same and values.dtype.kind in "iu":
            same = (values.min() < 0) == (made.min() < 0)
    if not same:
        low, high = values.min(), values.max()
        raise InputError(
            f"{origin} is {values.dtype} from {low:.4g} to {high:.4g}, which does not fit the type "
            f"of input {describe_port(port)}; cast it before"
        )
    return made
