"""`ExampleReader` reads what the model takes for one explanation, by the names of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from ..errors import InputError
from ..session.session import Session
from . import image_names, tensor_files
from .images import Image, as_array
from .names import Names, file_of, image_name
from .tensor_files import is_tensor_file, read_tensor
from .value_reader import ValueReader, is_numbers, numbers_of
from .values import Tensor, Value, describe_port, is_row_batch

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
        files: The files that its values were read from.
    """

    source: Any
    name: str
    values: dict[str, Value] = field(repr=False)
    shared: frozenset[str] = frozenset()
    files: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for examples that can share one run of the artifact."""
        return tuple(
            value.row().tobytes() if name in self.shared else value.kind
            for name, value in self.values.items()
        )

    def prepared(self) -> Example:
        """Return the same example with its rows computed, so that a run only stacks them."""
        values = {name: value.prepared() for name, value in self.values.items()}
        return replace(self, values=values)


Given: TypeAlias = Image | Inputs | Example
"""What callers pass for one explanation; see `ExampleReader.read`."""


class ExampleReader:
    """Reads examples for one artifact; safe to share between threads.

    Attributes:
        main: The input that an example is about if it names none: the one with the stored
            preprocessing, else the model's first.
    """

    def __init__(self, session: Session) -> None:
        self._values = ValueReader(session)
        self._file, self._ports = self._values.file, self._values.ports
        self.main = self._values.main

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the names of the files that hold examples."""
        if self._values.transform is None:
            return tensor_files.SUFFIXES
        return (*image_names.SUFFIXES, ".npz") if len(self._ports) > 1 else image_names.SUFFIXES

    def split(self, given: Any) -> list[Any] | None:
        """Return the examples of a batch; None if ``given`` is a single example."""
        if isinstance(given, (list, tuple)):
            return None if is_numbers(given) else list(cast("Sequence[Any]", given))
        array = as_array(given)
        if array is None:
            return None
        if self._values.is_pixels(array, self.main):
            return list(given) if array.ndim == 4 else None
        port = self._ports[self.main]
        many = is_row_batch(array, port) or array.ndim == len(port.shape) == 4
        return list(given) if many else None

    def load(self, given: Sequence[Any], inputs: Inputs | None) -> list[Example]:
        """Read examples, each with a unique name.

        Args:
            given: Examples, as for `read`.
            inputs: Values of further inputs: one for all examples, or a row for each.

        Raises:
            ImageError: An image cannot be read or used.
            InputError: An input is missing or unknown, or a value does not fit.
        """
        names = Names()
        each = self.rows_of(inputs, len(given))
        return [
            self.read(one, names.distinct(self.name_of(one)), own)
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
        if isinstance(given, Example):
            return given.name
        about = cast("Inputs", given).get(self.main) if isinstance(given, Mapping) else given
        name = image_name(about)
        return "input" if name == "image" and self._values.transform is None else name

    def read(self, given: Any, name: str, inputs: Inputs | None = None) -> Example:
        """Read one example.

        Args:
            given: A value of the `main` input, or values by the names of inputs. A value is an
                image in any form (see `images.as_rgb`) for an input with preprocessing; an array,
                a tensor or numbers as the model takes them; or the path of a file: ``.npy``,
                ``.npz`` (its entries are inputs by name, ``x.npz:entry`` is one entry), ``.wav``,
                ``.nii`` or ``.nii.gz``. Or an example that was read before.
            name: The name of its explanation.
            inputs: Values of further inputs.

        Raises:
            ImageError: An image cannot be read or used.
            InputError: An input is missing or unknown, or a value does not fit.
        """
        if isinstance(given, Example):
            self._check_once(given.values, inputs)
            return replace(given, name=name)
        named = dict(self._named(given))
        self._check_once(named, inputs)
        named.update(inputs or {})
        files = [file for one in (given, *named.values()) if (file := file_of(one))]
        self.check_names(named)
        missing = [key for key in self._ports if key not in named]
        if missing:
            raise InputError(
                f"{self._file} takes {self.described()}; pass {', '.join(map(repr, missing))} by "
                "name, in inputs= (--input NAME=FILE)"
            )
        values = {key: self._values.read(key, named[key]) for key in self._ports}
        return Example(given, name, values, self._values.shared, tuple(map(Path, files)))

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
        array = numbers_of(value, name)
        if array is None:
            return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else None
        several = array.ndim == len(self._ports[name].shape) and len(array) != 1
        return value if several and name not in self._values.shared else None

    def _check_once(self, named: Mapping[str, Any], inputs: Inputs | None) -> None:
        """Raise InputError if an example has one of the further inputs itself."""
        twice = [key for key in inputs or {} if key in named]
        if twice:
            raise InputError(f"input '{twice[0]}' is given twice; leave it out of inputs")

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
