"""A `Truth` is what people drew for one class on a photograph; `Annotations` hold all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["coco", "voc", "yolo", "masks"]
"""The format of annotations: a JSON file, a folder of XML, of text, or of images."""

ANY_CLASS = -1
"""The class of objects that nobody named: what a photograph shows, whichever class is asked about.

As a class id it is the class that the model ranks first.
"""


@dataclass(frozen=True, eq=False)
class Truth:
    """Where the objects of one class are on one photograph.

    Attributes:
        boxes: Left, top, right, bottom of each object in pixels of the upright photograph, float64
            [B, 4]; right and bottom are exclusive.
        mask: True where the objects are, bool [H, W]; None unless all of them have an outline.
        difficult: Every object is marked as hard to recognise (Pascal VOC).
    """

    boxes: NDArray[np.float64]
    mask: NDArray[np.bool_] | None = None
    difficult: bool = False


class Annotations(ABC):
    """What people drew on the photographs of a folder.

    Attributes:
        kind: The format.
        has_masks: Whether there are outlines or masks.
        unknown: Names of drawn objects that are left out: no label of the model, or several, match.
    """

    kind: Kind
    has_masks: bool
    unknown: list[str]

    @abstractmethod
    def of(self, path: str, size: tuple[int, int]) -> dict[int, Truth]:
        """Return what is drawn on one photograph, by class id of the model.

        Objects whose class nobody named have the key `ANY_CLASS`.

        Args:
            path: The photograph, relative to the photographs' folder, with ``/``.
            size: Its height and width, upright.

        Raises:
            TruthError: It was drawn on a photograph of another size, or is damaged.
        """

    @property
    @abstractmethod
    def photographs(self) -> list[str]:
        """The photographs that have annotations, as `of` takes them, sorted."""

    @property
    def dropped(self) -> int:
        """How many objects lay outside their photographs, of those that `of` was asked for."""
        return 0


def truth_of(found: Mapping[int, Truth], class_id: int) -> Truth | None:
    """Return what is drawn for a class, or what is drawn without a class; None: neither."""
    return found.get(class_id, found.get(ANY_CLASS))
