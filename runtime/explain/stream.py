"""`stream` explains any number of images; one that fails gives a `Failure` and stops nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from ..errors import GraftcamError, ImageError, InputError
from ..inorder import batched, in_order
from ..inputs.images import Image, LoadedImage, as_rgb
from ..inputs.names import Names, image_name
from ..output.explanation import Explanation
from .pipeline import explain_images
from .plan import Plan


@dataclass(frozen=True, eq=False)
class Failure:
    """An image that could not be explained.

    Attributes:
        image: The image as the caller passed it.
        error: The reason, with the remedy.
    """

    image: Image
    error: GraftcamError


def load(image: Image, name: str) -> LoadedImage | Failure:
    """Read an image; return a Failure if it cannot be read."""
    try:
        return LoadedImage(image, name, as_rgb(image))
    except ImageError as error:
        return Failure(image, error)


def explain_each(
    plan: Plan, entries: Sequence[LoadedImage | Failure]
) -> list[Explanation | Failure]:
    """Return an explanation, by the plan's only method, or a Failure for each entry.

    Raises:
        GraftcamError: An error that no single image causes, such as a broken session.
    """
    found = iter(_explain_all(plan, [one for one in entries if isinstance(one, LoadedImage)]))
    return [next(found) if isinstance(one, LoadedImage) else one for one in entries]


def _explain_all(plan: Plan, images: Sequence[LoadedImage]) -> list[Explanation | Failure]:
    """Explain all images together; if that fails, one by one, so that only bad images fail."""
    if not images:
        return []
    try:
        return [one for (one,) in explain_images(plan, images)]
    except (ImageError, InputError) as error:
        if len(images) == 1:
            return [Failure(images[0].source, error)]
    return [found for one in images for found in _explain_all(plan, [one])]


def stream(
    plan: Plan, images: Iterable[Image], batch: int, readers: int
) -> Generator[Explanation | Failure]:
    """Read in ``readers`` threads, explain in another one, and yield in order.

    While the caller draws one batch, the next one is explained and the images of the one after
    that are read: at most five batches of images are in memory.
    """
    names = Names()
    named = ((image, names.distinct(image_name(image))) for image in images)
    entries = in_order(lambda pair: load(*pair), named, readers, ahead=batch)
    with closing(entries):
        found = in_order(partial(explain_each, plan), batched(entries, batch), 1, ahead=1)
        with closing(found):
            for results in found:
                yield from results
