"""`ExampleReader` reads what the model takes for one explanation, by the names of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from ..session.session import Port, Session, fits
from ..spec import Preprocess
from . import image_files, tensor_files
from .images import Image, as_array, as_rgb, is_image_like
from .names import Names, image_name
from .tensor_files import is_tensor_file, read_tensor
from .values import Photo, Tensor, Value, describe_port, fit_row, is_row_batch

Inputs: TypeAlias = Mapping[str, Any]
"""Values by the names of a model's inputs."""


@dataclass(frozen=True, eq=False)
class Example:
    """Everything that the model takes for one explanation.

    Attributes:
        source: The example as the caller passed it.
        name: The name of its explanation.
        values: A value for each of the model's inputs.
        shared: The inputs without a batch axis, which all examples of a run share.
    """

    source: Any
    name: str
    values: dict[str, Value] = field(repr=False)
    shared: frozenset[str] = frozenset()

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for examples that can share one run of the artifact."""
        return tuple(
            value.row().tobytes() if name in self.shared else value.kind
            for name, value in self.values.items()
        )


Given: TypeAlias = Image | Inputs | Example
"""What callers pass for one explanation; see `ExampleReader.read`."""


class ExampleReader:
    """Reads examples for one artifact; safe to share between threads.

    Attributes:
        main: The input that an example is about if it names none: the one with the stored
            preprocessing, else the model's first.
    """

    def __init__(self, session: Session) -> None:
        self._file = session.path.name
        self._ports = {port.name: port for port in session.model_inputs}
        self._transform = session.spec.preprocess
        if not self._ports:
            raise InputError(f"{self._file} takes no inputs; use Explainer.run({{}})")
        first = next(iter(self._ports))
        self.main = first if self._transform is None else self._transform.input
        batch = self._ports[self.main].shape[:1]
        self._shared = frozenset(n for n, port in self._ports.items() if port.shape[:1] != batch)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the names of the files that hold examples."""
        if self._transform is None:
            return tensor_files.SUFFIXES
        return (*image_files.SUFFIXES, ".npz") if len(self._ports) > 1 else image_files.SUFFIXES

    def split(self, given: Any) -> list[Any] | None:
        """Return the examples of a batch; None if ``given`` is a single example."""
        if isinstance(given, (list, tuple)):
            return None if _is_numbers(given) else list(cast("Sequence[Any]", given))
        array = as_array(given)
        if array is None:
            return None
        if self._is_pixels(array, self.main):
            return list(given) if array.ndim == 4 else None
        port = self._ports[self.main]
        many = is_row_batch(array, port) or array.ndim == len(port.shape) == 4
        return list(given) if many else None

    def load(self, given: Sequence[Any], inputs: Inputs | None) -> list[Example]:
        """Read examples, each with a unique name.

        Args:
            given: Examples, as for `read`; those that are read already stay as they are.
            inputs: Values of further inputs: one for all examples, or a row for each.

        Raises:
            ImageError: An image cannot be read or used.
            InputError: An input is missing or unknown, or a value does not fit.
        """
        names = Names()
        each = self.rows_of(inputs, len(given))
        return [
            one
            if isinstance(one, Example)
            else self.read(one, names.distinct(self.name_of(one)), own)
            for one, own in zip(given, each, strict=True)
        ]

    def load_file(self, path: str | Path, inputs: Inputs | None) -> list[Example]:
        """Read the examples of a file: several, if it is an array with a batch axis.

        Raises:
            ImageError: As `load`.
            InputError: Likewise.
        """
        rows: list[Any] | None = None
        if is_tensor_file(path):
            found = read_tensor(path)
            # The channels of a sound, and of a scan, are no rows.
            if isinstance(found, Tensor) and not found.unit:
                rows = self.split(found.values)
        if rows is None or len(rows) < 2:
            return self.load([path], inputs)
        names, name = Names(), self.name_of(path)
        each = self.rows_of(inputs, len(rows))
        pairs = zip(rows, each, strict=True)
        return [self.read(row, names.distinct(name), own) for row, own in pairs]

    def name_of(self, given: Any) -> str:
        """Return the name of an example: that of its file, if it has one."""
        about = cast("Inputs", given).get(self.main) if isinstance(given, Mapping) else given
        name = image_name(about)
        return "input" if name == "image" and self._transform is None else name

    def read(self, given: Any, name: str, inputs: Inputs | None = None) -> Example:
        """Read one example.

        Args:
            given: A value of the `main` input, or values by the names of inputs. A value is an
                image in any form (see `images.as_rgb`) for an input with preprocessing; an array,
                a tensor or numbers as the model takes them; or the path of a file: ``.npy``,
                ``.npz`` (its entries are inputs by name, ``x.npz:entry`` is one entry), ``.wav``,
                ``.nii`` or ``.nii.gz``.
            name: The name of its explanation.
            inputs: Values of further inputs.

        Raises:
            ImageError: An image cannot be read or used.
            InputError: An input is missing or unknown, or a value does not fit.
        """
        named = dict(self._named(given))
        for key, value in (inputs or {}).items():
            if key in named:
                raise InputError(f"input '{key}' is given twice; leave it out of inputs")
            named[key] = value
        self.check_names(named)
        missing = [key for key in self._ports if key not in named]
        if missing:
            raise InputError(
                f"{self._file} takes {self.described()}; pass {', '.join(map(repr, missing))} by "
                "name, in inputs= (--input NAME=FILE)"
            )
        values = {key: self._value(key, named[key]) for key in self._ports}
        return Example(given, name, values, self._shared)

    def check_names(self, names: Mapping[str, Any]) -> None:
        """Raise InputError if the model has no input of one of these names."""
        unknown = [name for name in names if name not in self._ports]
        if unknown:
            raise InputError(
                f"{self._file} has no input {', '.join(map(repr, unknown))}; it takes "
                f"{self.described()}"
            )

    def described(self) -> str:
        """Describe the model's inputs: name, type and shape of each."""
        return ", ".join(describe_port(port) for port in self._ports.values())

    def rows_of(self, inputs: Inputs | None, count: int) -> list[dict[str, Any]]:
        """Return the values of further inputs for each of ``count`` examples.

        A list that is not of numbers, and an array with ``count`` rows, have one for each.

        Raises:
            InputError: The model has no such input, or there is another number of rows.
        """
        self.check_names(inputs or {})
        each: list[dict[str, Any]] = [{} for _ in range(count)]
        for name, value in (inputs or {}).items():
            rows = self._rows(name, value)
            if rows is not None and len(rows) != count:
                raise InputError(
                    f"input '{name}' has {len(rows)} rows for {count} "
                    f"example{'s' * (count != 1)}; pass one for all, or one for each"
                )
            for at, own in enumerate(each):
                own[name] = value if rows is None else rows[at]
        return each

    def _rows(self, name: str, value: Any) -> Sequence[Any] | None:
        array = _array_of(value, name)
        if array is None:
            return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else None
        several = array.ndim == len(self._ports[name].shape) and len(array) != 1
        return value if several and name not in self._shared else None

    def _named(self, given: Any) -> Mapping[str, Any]:
        if isinstance(given, Mapping):
            return cast("Inputs", given)
        if is_tensor_file(given):
            found = read_tensor(given)
            if isinstance(found, dict):
                if self._ports.keys().isdisjoint(found):
                    raise InputError(
                        f"{given} has the entries {', '.join(found)}; name one, as {given}:"
                        f"{next(iter(found))}, or name them after the inputs: {self.described()}"
                    )
                return found
        return {self.main: given}

    def _value(self, name: str, given: Any) -> Value:
        """Read the value of one input."""
        port, transform = self._ports[name], self._transform_of(name)
        tensor, origin = self._tensor(name, given)
        if tensor is None or (transform is not None and self._is_pixels(tensor.values, name)):
            source = given if tensor is None or as_array(given) is not None else tensor.values
            if transform is None and not is_image_like(source):
                raise InputError(
                    f"'{name}' is a {type(source).__name__}; pass numbers, an array or its file "
                    f"for input {describe_port(port)}"
                )
            if transform is None:
                raise ImageError(self._no_image(name, source))
            return Photo(as_rgb(source), transform)
        if name in self._shared:
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
        array = _array_of(given, name)
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

    def _is_pixels(self, array: NDArray[Any], name: str) -> bool:
        """Whether an array is an image, which the input's preprocessing takes."""
        return array.dtype == np.uint8 and self._transform_of(name) is not None

    def _transform_of(self, name: str) -> Preprocess | None:
        """Return the preprocessing of an input: the stored one, also for an input of its shape."""
        if self._transform is None:
            return None
        mine, main = self._ports[name], self._ports[self.main]
        alike = (mine.dtype, mine.shape) == (main.dtype, main.shape)
        return self._transform if alike else None

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
        port = describe_port(self._ports[name])
        what = str(source) if isinstance(source, (str, Path)) else "an image"
        if self._transform is None:
            return (
                f"{self._file} stores no preprocessing; {what} needs it: export it with "
                f"preprocessing, or pass the tensor that the model takes, {port}, as an array or "
                "in a .npy file (or all inputs to Explainer.run)"
            )
        return (
            f"input {port} takes no image ({what}): the stored preprocessing is that of "
            f"'{self.main}'; pass an array or a .npy file"
        )


def _array_of(value: Any, name: str) -> NDArray[Any] | None:
    """Return numbers, lists of them, arrays and tensors as an array; None for everything else.

    Raises:
        InputError: Lists of numbers differ in length.
    """
    if not (isinstance(value, Real) or _is_numbers(value)):
        return as_array(value)
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"'{name}' has lists of numbers that differ in length") from None


def _is_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers, or of such lists."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(isinstance(one, Real) or _is_numbers(one) for one in cast("Sequence[Any]", value))
