"""`localise` compares the maps of photographs with what people drew on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...output.render import project
from .explainers import Maps
from .items import Item
from .measures.masking import as_mask
from .settings import Tuning
from .truth.localisation import energy, iou, pointing, rank, weighting
from .truth.truth import Truth

Values = NDArray[np.float64]


def localise(
    items: Sequence[Item], maps: Sequence[Maps], measures: Sequence[str], tuning: Tuning
) -> dict[str, Values]:
    """Compute the measures of places, [M, N]; NaN for a photograph without what they need.

    Maps lie over the whole photograph; what the model did not see of it is 0.

    Args:
        items: N photographs with their truths.
        maps: The maps of each of M candidates.
        measures: Ids; others than those of places are ignored.
        tuning: Tolerance of the pointing game, and threshold of the IoU.
    """
    made: dict[str, Callable[[NDArray[Any], Truth], float]] = {
        "pointing": lambda heatmap, truth: pointing(heatmap, truth, tuning.tolerance),
        "energy": energy,
        "weighting": weighting,
        "iou": lambda heatmap, truth: iou(heatmap, truth, tuning.threshold),
        "rank": rank,
    }
    wanted = {name: measure for name, measure in made.items() if name in measures}
    found = {name: np.full((len(maps), len(items)), np.nan) for name in wanted}
    for place, own in enumerate(maps if wanted else ()):
        masks = as_mask(np.where(np.isfinite(own.raw), own.raw, 0))
        for row, item in enumerate(items):
            photo = item.photo
            if photo is not None and item.truth is not None:
                heatmap = project(masks[row], photo.placement)
                for name, measure in wanted.items():
                    found[name][place, row] = measure(heatmap, item.truth)
    return found
