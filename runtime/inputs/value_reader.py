"""`ValueReader` reads the value of one input: a photograph, or numbers in any form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..reading import check_regular
from ..session.session import Port, Session, fits
from ..spec import Preprocess
from .images import as_array, as_rgb, is_image_like
from .tensor_files import is_tensor_file, read_tensor
from .values import Photo, Tensor, Value, describe_port, fit_row


class ValueReader:
    """Reads values for the inputs of one artifact.

    Attributes:
        file: The artifact's name.
        ports: Its model's own inputs by name.
        transform: The stored preprocessing.
        main: The input with that preprocessing, else the first.
        shared: The inputs without a batch axis.
        max_pixels: Number of pixels that an image file may have.
    """

    def __init__(self, session: Session) -> None:
        self.file = session.path.name
        self.max_pixels = session.max_pixels
        self.ports = {port.name: port for port in session.model_inputs}
        self.transform = session.spec.preprocess
        if not self.ports:
            raise InputError(f"{self.file} takes no inputs; use Explainer.run({{}})")
        first = next(iter(self.ports))
        self.main = first if self.transform is None else self.transform.input
        batch = self.ports[self.main].shape[:1]
        self.shared = frozenset(n for n, port in self.ports.items() if port.shape[:1] != batch)

    def read(self, name: str, given: Any) -> Value:
        """Read the value of the input ``name``.

        Raises:
            ImageError: An image cannot be read or used.
            InputError: The value does not fit.
        """
        port, transform = self.ports[name], self._transform_of(name)
        tensor, origin = self._tensor(name, given)
        if tensor is None or (transform is not None and self.is_pixels(tensor.values, name)):
            source = given if tensor is None or as_array(given) is not None else tensor.values
            if transform is None and not is_image_like(source):
                raise InputError(
                    f"'{name}' is a {type(source).__name__}; pass numbers, an array or its file "
                    f"for input {describe_port(port)}"
                )
            if transform is None:
                if self.transform is None and isinstance(source, (str, Path)):
                    check_regular(source, ImageError)  # it may not even exist
                raise ImageError(self._no_image(name, source))
            return Photo(as_rgb(source, self.max_pixels), transform)
        if name in self.shared:
            return self._fit_shared(tensor, port, origin)
        if name == self.main and not tensor.values.size:
            shape = list(tensor.values.shape)
            raise InputError(f"{origin} has shape {shape}: it is empty; pass {describe_port(port)}")
        try:
            return fit_row(tensor, port, origin)
        except InputError:
            self._refuse_image(tensor.values, port)
            raise

    def _tensor(self, name: str, given: Any) -> tuple[Tensor | None, str]:
        """Return a value as numbers, None if it is an image; and what to call it in messages."""
        if isinstance(given, Tensor):
            return given, f"'{name}'"
        if is_tensor_file(given):
            found = read_tensor(given)
            if isinstance(found, dict):
                raise InputError(
                    f"{given} has the entries {', '.join(found)}; name one: {given}:"
                    f"{next(iter(found))}"
                )
            return found, str(given)
        array = numbers_of(given, name)
        return (None if array is None else Tensor(array)), f"'{name}'"

    def _fit_shared(self, tensor: Tensor, port: Port, origin: str) -> Tensor:
        """Fit values of an input that has no batch axis."""
        row = replace(port, shape=(1, *port.shape))
        if not fits(tensor.values.shape, port.shape):
            raise InputError(
                f"{origin} is {tensor.values.dtype} {list(tensor.values.shape)}, which does not "
                f"fit input {describe_port(port)}"
            )
        return fit_row(tensor, row, origin)

    def is_pixels(self, array: NDArray[Any], name: str) -> bool:
        """Whether an array is an image, which the input's preprocessing takes."""
        return array.dtype == np.uint8 and self._transform_of(name) is not None

    def _transform_of(self, name: str) -> Preprocess | None:
        """Return the preprocessing of an input: the stored one, also for an input of its shape."""
        if self.transform is None:
            return None
        mine, main = self.ports[name], self.ports[self.main]
        alike = (mine.dtype, mine.shape) == (main.dtype, main.shape)
        return self.transform if alike else None

    def _refuse_image(self, values: NDArray[Any], port: Port) -> None:
        """Raise ImageError if values of a wrong shape are meant as an image, with the remedy."""
        if fits(values.shape, port.shape[1:]) or fits(values.shape, port.shape):
            return
        takes_images = self._transform_of(port.name) is not None
        if not takes_images and (values.dtype != np.uint8 or len(port.shape) < 4):
            return
        try:
            as_rgb(values)
        except ImageError as error:
            if takes_images:
                raise ImageError(f"{error}; or pass a tensor: {describe_port(port)}") from None
        else:
            raise ImageError(self._no_image(port.name, values))

    def _no_image(self, name: str, source: Any) -> str:
        port = describe_port(self.ports[name])
        what = str(source) if isinstance(source, (str, Path)) else "an image"
        if self.transform is None:
            return (
                f"{self.file} stores no preprocessing; {what} needs it: give preprocess=... "
                "(--preprocess imagenet, unit or raw, with crop, squash or letterbox, as the model "
                f"was trained) here or to the export, or pass the tensor that the model takes, "
                f"{port}, as an array or in a .npy file (or all inputs to Explainer.run)"
            )
        return (
            f"input {port} takes no image ({what}): the stored preprocessing is that of "
            f"'{self.main}'; pass an array or a .npy file"
        )


def numbers_of(value: Any, name: str) -> NDArray[Any] | None:
    """Return numbers, lists of them, arrays and tensors as an array; None for everything else.

    Raises:
        InputError: Lists of numbers differ in length.
    """
    if not (isinstance(value, Real) or is_numbers(value)):
        return as_array(value)
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"'{name}' has lists of numbers that differ in length") from None


def is_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers, or of such lists."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(isinstance(one, Real) or is_numbers(one) for one in cast("Sequence[Any]", value))
