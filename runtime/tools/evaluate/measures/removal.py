"""These measures remove places of an image in a map's order: insertion, deletion and ROAD."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..settings import Tuning
from ..subjects import Subjects
from .fill import Filler
from .impute import impute

Floats = NDArray[Any]
Ranks = NDArray[np.int32]

_SAME = 1e-5  # of a map's maximum: two maps that differ by less rank places alike


def ranks_of(maps: Floats, seed: int) -> Ranks:
    """Rank the places of maps [N, H, W], the brightest first: int32 [N, H, W] from 0.

    Ties, such as the zeros of a map without evidence there, are broken at random, the same way for
    all maps: no place is preferred.
    """
    flat = maps.reshape(len(maps), -1)
    shuffled = np.random.default_rng(seed).permutation(flat.shape[1])
    order = shuffled[np.argsort(-flat[:, shuffled], axis=1, kind="stable")]
    ranks = np.empty_like(order, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks.reshape(maps.shape)


def distinct(maps: list[Floats]) -> tuple[list[int], list[int]]:
    """Find maps that rank places alike: those of some methods are the same by their formulas.

    Args:
        maps: The maps of each candidate, [N, H, W].

    Returns:
        The numbers of the different candidates; and for each candidate its place among these.
    """
    scaled = [_scaled(own) for own in maps]
    different: list[int] = []
    places: list[int] = []
    for number, own in enumerate(scaled):
        same = (p for p, other in enumerate(different) if _alike(own, scaled[other]))
        place = next(same, len(different))
        if place == len(different):
            different.append(number)
        places.append(place)
    return different, places


def curves(
    subjects: Subjects, ranks: list[Ranks], tuning: Tuning, which: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Insert and delete places step by step (RISE: Petsiuk et al. 2018, 1806.07421).

    A step is an equal number of pixels. Deletion goes from the image to its fill, insertion from
    the fill to the image.

    Args:
        subjects: The photographs.
        ranks: The ranks of each of M candidates, [N, H, W].
        tuning: Steps and fills.
        which: ``insertion``, ``deletion`` or both.

    Returns:
        Confidences by measure, [M, N, steps + 1]; their `area` is its value.
    """
    steps, places = tuning.steps, ranks[0][0].size
    counts = [places * step // steps for step in range(steps + 1)]
    found: dict[str, NDArray[np.float64]] = {}
    for measure in which:
        inserts = measure == "insertion"
        how = tuning.insertion_fill if inserts else tuning.deletion_fill
        fillers = [Filler(image, how) for image in subjects.images]

        def changed(
            number: int, row: int, fillers: list[Filler] = fillers, *, inserts: bool = inserts
        ) -> Floats:
            if number == 0:  # all is removed, whatever the map
                return fillers[row].without(np.ones(ranks[0][row].shape, bool))
            candidate, step = divmod(number - 1, steps - 1)
            chosen = ranks[candidate][row] < counts[step + 1]
            return fillers[row].without(~chosen if inserts else chosen)

        got = subjects.confidences(1 + len(ranks) * (steps - 1), changed)
        inner = got[1:].reshape(len(ranks), steps - 1, -1).swapaxes(1, 2)
        shape = (*inner.shape[:2], 1)
        empty, whole = (
            np.broadcast_to(ends[None, :, None], shape) for ends in (got[0], subjects.confidence)
        )
        ends = (empty, whole) if inserts else (whole, empty)
        found[measure] = np.concatenate([ends[0], inner, ends[1]], axis=2).astype(np.float64)
    return found


def area(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under curves [..., steps + 1] over 0 to 1, by trapezoids."""
    return (curve[..., :-1] + curve[..., 1:]).mean(axis=-1) / 2


def road(subjects: Subjects, ranks: list[Ranks], tuning: Tuning) -> NDArray[np.float64]:
    """Remove and debias (ROAD: Rong et al. 2022, 2202.00449), [M, N].

    The most, and the least, important share of the pixels is imputed from its neighbours, with a
    little noise, so that the shape of what was removed tells the model little. The value is half
    the difference of the confidences (least minus most important first), the mean over the shares.

    Args:
        subjects: The photographs.
        ranks: The ranks of each of M candidates, [N, H, W].
        tuning: Percentiles, and the noise, whose standard deviation is a share of the image's; the
            same noise for all candidates.
    """
    places, shares = ranks[0][0].size, tuning.percentiles
    counts = [round(places * share / 100) for share in shares]
    generator = np.random.default_rng(tuning.seed)
    noise = generator.standard_normal(subjects.images.shape[1:], np.float32)

    def changed(number: int, row: int) -> Floats:
        candidate, rest = divmod(number, 2 * len(counts))
        place, first = divmod(rest, 2)
        own, image = ranks[candidate][row], subjects.images[row]
        removed = own < counts[place] if first else own >= places - counts[place]
        deviation = np.float32(tuning.road_noise * image.std())
        return impute(image, removed) + removed[..., None] * deviation * noise

    got = subjects.confidences(2 * len(counts) * len(ranks), changed)
    pairs = got.reshape(len(ranks), len(counts), 2, -1).astype(np.float64)
    return (pairs[:, :, 0] - pairs[:, :, 1]).mean(axis=1) / 2


def _scaled(maps: Floats) -> Floats:
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    return maps / np.where(largest > 0, largest, 1)


def _alike(first: Floats, second: Floats) -> bool:
    return bool(np.allclose(first, second, rtol=0, atol=_SAME))
