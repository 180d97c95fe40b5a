"""`as_rgb` converts any kind of image that a caller has to an RGB uint8 array.

Pillow images and PyTorch tensors are recognised by the module of their type, so that neither
package is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, first_line
from ..limits import MAX_PIXELS
from .image_files import Pixels, check_pixels, decode_image, lay_over, read_image


class _BinaryFile(Protocol):
    def read(self) -> bytes: ...


class _PillowImage(Protocol):
    def getexif(self) -> Any: ...


class _Tensor(Protocol):
    def cpu(self) -> Any: ...


Image: TypeAlias = (
    str | Path | bytes | bytearray | NDArray[Any] | _BinaryFile | _PillowImage | _Tensor
)

_ORIENTATION = 0x0112  # the EXIF tag
_CHANNELS = (1, 3, 4)
_REMEDY = "pass a path, a file's bytes, a Pillow image or an RGB uint8 array [H, W, 3]"


def as_array(value: object) -> NDArray[Any] | None:
    """Return an array or a tensor of PyTorch as an array of numpy; None for everything else.

    Images of Pillow, which numpy could convert too, are images and no arrays.
    """
    if _comes_from(value, "torch"):
        return np.asarray(cast("Any", value).detach().cpu())
    if hasattr(value, "__array__") and not _comes_from(value, "PIL"):
        return np.asarray(cast("Any", value))
    return None


def is_image_like(value: object) -> bool:
    """Whether a value may be an image: a path, bytes, an open file, or an image of Pillow."""
    known = isinstance(value, (str, Path, bytes, bytearray, memoryview))
    return known or hasattr(value, "read") or _comes_from(value, "PIL")


def as_rgb(image: object, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return one image as RGB uint8 [H, W, 3], as a copy.

    For every kind of image, transparent parts are laid over white, greyscale is repeated, and the
    EXIF orientation is applied.

    Args:
        image: A path; the bytes of an image file, or a binary file to read them from; an image of
            Pillow in any mode; a uint8 array, RGB [H, W, 3], RGBA [H, W, 4], greyscale [H, W] or
            [H, W, 1]; or a uint8 tensor of PyTorch with channels first, [1, 3 or 4, H, W].
        max_pixels: Number of pixels that an image may have that is still to be decoded.

    Raises:
        ImageError: The file is missing, too large or not an image; the array has another type or
            shape.
    """
    if isinstance(image, (str, Path)):
        return read_image(image, max_pixels=max_pixels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        data = bytes(image)
        return decode_image(data, f"the file of {len(data)} bytes", max_pixels=max_pixels)
    if _comes_from(image, "PIL"):
        return _of_pillow(cast("Any", image), max_pixels)
    if _comes_from(image, "torch"):
        return _of_array(np.asarray(cast("Any", image).detach().cpu()), tensor=True)
    if hasattr(image, "__array__"):
        return _of_array(np.asarray(cast("Any", image)))
    if hasattr(image, "read"):
        return _of_file(cast("Any", image), max_pixels)
    raise ImageError(f"a {type(image).__name__} is no image; {_REMEDY}")


def _comes_from(image: object, package: str) -> bool:
    return any(kind.__module__.partition(".")[0] == package for kind in type(image).__mro__)


def _of_file(file: Any, max_pixels: int) -> Pixels:
    """Read and decode an open file, from its current position."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else "the file object"
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: closed, or text that cannot be decoded
        raise ImageError(f"cannot read {name}: {error}") from error
    if not isinstance(data, bytes):
        raise ImageError(f"{name} gives {type(data).__name__}; open it with mode 'rb'")
    if not data:
        raise ImageError(f"{name} has no bytes left to read; go to its start with .seek(0)")
    return decode_image(data, name, max_pixels=max_pixels)


def _of_pillow(image: Any, max_pixels: int) -> Pixels:
    """Convert an image of Pillow as a file of the same content would be read."""
    mode = str(image.mode)
    # Pillow decodes at first use.
    check_pixels("the Pillow image", image.size, max_pixels)
    try:
        if mode.startswith("I;16"):  # Pillow would clip at 255
            array = (np.asarray(image) >> 8).astype(np.uint8)
        elif mode in ("I", "F"):
            raise ImageError(
                f"a Pillow image of mode {mode!r} has no fixed range of values; scale them to 0 to "
                '255, then pass image.convert("L")'
            )
        else:
            transparent = mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info
            array = np.asarray(image.convert("RGBA" if transparent else "RGB"))
        orientation = image.getexif().get(_ORIENTATION, 1)
    except ImageError:
        raise
    except Exception as error:  # what a broken file makes Pillow's decoders raise
        reason = first_line(error)
        raise ImageError(f"Pillow cannot convert its image of mode {mode!r}: {reason}") from error
    return _of_array(_turned(array, orientation))


def _turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array [H, W, ...] upright, from one of the eight EXIF orientations."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return array[rows, columns]


def _of_array(array: NDArray[Any], *, tensor: bool = False) -> Pixels:
    """Convert a uint8 array with channels last, or a tensor's with channels first, to RGB."""
    if array.dtype != np.uint8:
        remedy = _cast(array, ".to(torch.uint8)" if tensor else '.astype("uint8")')
        raise ImageError(f"image has type {array.dtype}; {remedy}")
    if array.ndim == 2:
        array = array[None] if tensor else array[:, :, None]
    axis, other = (0, 2) if tensor else (2, 0)
    if array.ndim != 3 or not array.size or array.shape[axis] not in _CHANNELS:
        remedy = "pass uint8 " + ("[3, H, W]" if tensor else "[H, W, 3]")
        if array.ndim == 4:
            remedy = "it holds a batch: pass one of its images, image[0]"
        elif array.ndim == 3 and array.size and array.shape[other] in _CHANNELS:
            remedy = "pass image." + ("permute(2, 0, 1)" if tensor else "transpose(1, 2, 0)")
        raise ImageError(f"image has shape {list(array.shape)}; {remedy}")
    array = np.moveaxis(array, axis, -1)
    if array.shape[2] == 4:
        return lay_over(array)
    channels = array if array.shape[2] == 3 else np.repeat(array, 3, axis=2)
    # A copy: video loops overwrite their frame while the explanation still uses it.
    return np.array(channels, order="C")


def _cast(array: NDArray[Any], to_uint8: str) -> str:
    """Return the remedy for values that are not uint8."""
    kind = array.dtype.kind
    if kind not in "biuf" or not array.size:
        return _REMEDY
    low, high, rounded = float(array.min()), float(array.max()), ".round()" * (kind == "f")
    if kind == "b" or (kind == "f" and low >= 0 and high <= 1):
        return f"pass (image * 255){rounded}{to_uint8}"
    if low >= 0 and high <= 255:
        return f"pass image{rounded}{to_uint8}"
    if array.dtype == np.uint16:
        return f"pass (image >> 8){to_uint8}"
    return (
        f"its values reach from {low:.3g} to {high:.3g} instead of 0 to 255; pass the image as it "
        "was before normalisation"
    )
