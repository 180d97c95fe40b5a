"""An `Item` is a photograph and a class of it; `Items` finds them for a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import TruthError
from ...inputs.examples import Example, ExampleReader, Inputs
from ...inputs.values import Photo
from .truth.truth import Annotations, Truth, truth_of

BEST = -1
"""The class that the model ranks first."""


@dataclass(frozen=True, eq=False)
class Item:
    """A photograph and a class of it.

    Attributes:
        path: The photograph, relative to the folder, with ``/``.
        example: What the model takes.
        number: The class id, or `BEST`.
        truth: What is drawn for the class; None: nothing, or nobody drew.
    """

    path: str
    example: Example
    number: int
    truth: Truth | None = None

    @property
    def photo(self) -> Photo | None:
        """The photograph; None for an array."""
        return next((v for v in self.example.values.values() if isinstance(v, Photo)), None)


@dataclass(frozen=True)
class Items:
    """Reads photographs, with their classes.

    Attributes:
        folder: The folder of photographs.
        reader: Reads them for the artifact.
        classes: Ids of the classes that each is scored for; None: those that are drawn on it, else
            the best-ranked.
        drawn: What people drew; None: nothing.
        inputs: Values of further inputs, the same for all photographs.
    """

    folder: Path
    reader: ExampleReader
    classes: Sequence[int] | None
    drawn: Annotations | None
    inputs: Inputs

    def of(self, path: str) -> list[Item]:
        """Return a photograph once for each of its classes.

        Raises:
            ImageError, InputError: It cannot be read or used.
            TruthError: Nothing is drawn on it, and no class is chosen; or what is drawn belongs to
                another photograph.
        """
        example = self.reader.read(self.folder / path, Path(path).name, self.inputs)
        if self.drawn is None:
            return [Item(path, example, number) for number in self.classes or [BEST]]
        photo = Item(path, example, BEST).photo
        if photo is None:
            raise TruthError(
                f"{path} is an array, and boxes and masks are those of photographs; leave --truth "
                "out, or give photographs"
            )
        height, width = photo.pixels.shape[:2]
        found = self.drawn.of(path, (height, width))
        if not found and self.classes is None:
            raise TruthError(
                f"nothing is drawn on {path} of a class that the model knows; draw it, leave the "
                "photograph out, or choose classes (--class)"
            )
        numbers = sorted(found) if self.classes is None else self.classes
        return [Item(path, example, number, truth_of(found, number)) for number in numbers]
