"""Explaining many pictures: one that fails is a result of its own and stops nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ..errors import GraftcamError, ImageError, InputError
from ..inorder import batched, in_order
from ..inputs.images import Image, Picture, as_rgb
from ..output.explanation import Explanation


@dataclass(frozen=True, eq=False)
class Read:
    """A picture, read.

    Attributes:
        image: What the caller gave: a path or an array.
        name: What its explanation is called.
        picture: RGB uint8 [H, W, 3].
    """

    image: Image
    name: str
    picture: Picture


@dataclass(frozen=True, eq=False)
class Failure:
    """A picture that could not be explained.

    Attributes:
        image: What the caller gave: a path or an array.
        error: Why, and what to do about it.
    """

    image: Image
    error: GraftcamError


Explain: TypeAlias = Callable[[Sequence[Read]], list[Explanation]]


def read(image: Image, name: str) -> Read | Failure:
    """Read a picture, whatever it is."""
    try:
        return Read(image, name, as_rgb(image))
    except ImageError as error:
        return Failure(image, error)


def explain_each(
    explain: Explain, entries: Sequence[Read | Failure]
) -> list[Explanation | Failure]:
    """An explanation, or the reason why there is none, for each entry.

    Raises:
        GraftcamError: What is no single picture's fault, such as a broken session.
    """
    found = iter(_explain_all(explain, [entry for entry in entries if isinstance(entry, Read)]))
    return [next(found) if isinstance(entry, Read) else entry for entry in entries]


def _explain_all(explain: Explain, pictures: Sequence[Read]) -> list[Explanation | Failure]:
    """All at once; where a picture spoils that, one by one, so that it fails alone."""
    if not pictures:
        return []
    try:
        return [*explain(pictures)]
    except (ImageError, InputError) as error:
        if len(pictures) == 1:
            return [Failure(pictures[0].image, error)]
    return [found for one in pictures for found in _explain_all(explain, [one])]


def stream(
    explain: Explain, images: Iterable[Image], batch: int, readers: int
) -> Generator[Explanation | Failure]:
    """Read in ``readers`` threads, explain in another one, and yield in order.

    While the caller draws one batch, the next one is explained and the pictures of the one after
    that are read: at most five batches of pictures are in memory.
    """
    entries = in_order(lambda pair: read(*pair), _named(images), readers, ahead=batch)
    with closing(entries):
        found = in_order(partial(explain_each, explain), batched(entries, batch), 1, ahead=1)
        with closing(found):
            for results in found:
                yield from results


def _named(images: Iterable[Image]) -> Generator[tuple[Image, str]]:
    """Each picture with its file's name without suffix; what repeats, and arrays, get a number."""
    counts: Counter[str] = Counter()
    for image in images:
        stem = Path(image).stem if isinstance(image, (str, Path)) else "image"
        counts[stem] += 1
        yield image, stem if counts[stem] == 1 else f"{stem}-{counts[stem]}"
