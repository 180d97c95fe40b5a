"""Explaining many images: one that fails is a result of its own and stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from ..errors import GraftcamError, ImageError, InputError
from ..inorder import batched, in_order
from ..inputs.images import Image, LoadedImage, as_rgb
from ..inputs.names import Names, image_name
from ..output.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Failure:
    """An image that could not be explained.

    Attributes:
        image: What the caller gave.
        error: Why, and what to do about it.
    """

    image: Image
    error: GraftcamError


Explain: TypeAlias = Callable[[Sequence[LoadedImage]], list[Explanation]]


def load(image: Image, name: str) -> LoadedImage | Failure:
    """Read an image, from whatever it is."""
    try:
        return LoadedImage(image, name, as_rgb(image))
    except ImageError as error:
        return Failure(image, error)


def explain_each(
    explain: Explain, entries: Sequence[LoadedImage | Failure]
) -> list[Explanation | Failure]:
    """An explanation, or the reason why there is none, for each entry.

    Raises:
        GraftcamError: What is no single image's fault, such as a broken session.
    """
    found = iter(_explain_all(explain, [one for one in entries if isinstance(one, LoadedImage)]))
    return [next(found) if isinstance(one, LoadedImage) else one for one in entries]


def _explain_all(explain: Explain, images: Sequence[LoadedImage]) -> list[Explanation | Failure]:
    """All at once; where an image spoils that, one by one, so that it fails alone."""
    if not images:
        return []
    try:
        return [*explain(images)]
    except (ImageError, InputError) as error:
        if len(images) == 1:
            return [Failure(images[0].source, error)]
    return [found for one in images for found in _explain_all(explain, [one])]


def stream(
    explain: Explain, images: Iterable[Image], batch: int, readers: int
) -> Generator[Explanation | Failure]:
    """Read in ``readers`` threads, explain in another one, and yield in order.

    While the caller draws one batch, the next one is explained and the images of the one after
    that are read: at most five batches of images are in memory.
    """
    entries = in_order(lambda pair: load(*pair), _named(images), readers, ahead=batch)
    with closing(entries):
        found = in_order(partial(explain_each, explain), batched(entries, batch), 1, ahead=1)
        with closing(found):
            for results in found:
                yield from results


def _named(images: Iterable[Image]) -> Generator[tuple[Image, str]]:
    """Each image with a name that no other has."""
    names = Names()
    for image in images:
        yield image, names.distinct(image_name(image))
