"""These functions score how well a map shows where the objects of a class are.

Each takes a map over the photograph and a `Truth` of it, and returns a share from 0 to 1; 1 is
best. Positive values are evidence for the class. Negative ones are evidence against it and count as
0, as in the ReLU of Grad-CAM. A map without evidence scores 0. The result is NaN where nothing can
be measured: the map has a NaN or an infinite number, or nobody drew what the measure needs.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ....errors import TruthError
from .outlines import paint_boxes
from .truth import Truth

Evidence = NDArray[np.float32]
Region = NDArray[np.bool_]


def pointing(heatmap: NDArray[Any], truth: Truth, tolerance: float = 0) -> float:
    """Return whether the map's maximum lies on an object: 1 or 0.

    The pointing game of Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop"
    (ECCV, arXiv 1608.00507). As there, objects are their masks if there are any, else their boxes;
    its code allows a distance of 15 pixels. Of several equal maxima the share that hits counts.

    Args:
        heatmap: The map, [H, W].
        truth: Where the objects are.
        tolerance: Distance in pixels at which a place beside an object is a hit, too.

    Raises:
        TruthError: The map has another size than the mask.
    """
    found = _measured(heatmap, _region(heatmap, truth))
    if found is None:
        return math.nan
    evidence, region = found
    most = evidence.max()
    if most <= 0:
        return 0.0
    if tolerance > 0:
        apart = cv2.distanceTransform(
            (~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        region = apart <= tolerance
    return float(region[evidence == most].mean())


def energy(heatmap: NDArray[Any], truth: Truth) -> float:
    """Return the share of the evidence that lies inside the boxes.

    The energy-based pointing game of Wang et al. 2020, "Score-CAM: Score-Weighted Visual
    Explanations for Convolutional Neural Networks" (CVPR workshops, arXiv 1910.01279).

    Args:
        heatmap: The map, [H, W].
        truth: Where the objects are; without a box the result is NaN.

    Raises:
        TruthError: The map has another size than the mask.
    """
    region = paint_boxes(truth.boxes, _size(heatmap, truth)) if len(truth.boxes) else None
    return _share(_measured(heatmap, region))


def weighting(heatmap: NDArray[Any], truth: Truth) -> float:
    """Return the share of the evidence that lies inside the mask.

    The Weighting Game of Raatikainen and Rahtu 2022, "The Weighting Game: Evaluating Quality of
    Explainability Methods" (arXiv 2208.06175).

    Args:
        heatmap: The map, [H, W].
        truth: Where the objects are; without a mask the result is NaN.

    Raises:
        TruthError: The map has another size than the mask.
    """
    _size(heatmap, truth)
    return _share(_measured(heatmap, truth.mask))


def iou(heatmap: NDArray[Any], truth: Truth, threshold: float = 0.5) -> float:
    """Return the intersection over union of the objects and the places with most evidence.

    Zhou et al. 2016, "Learning Deep Features for Discriminative Localization" (CVPR, arXiv
    1512.04150), cut maps at a share of their maximum in this way. Which share is best depends on
    the method (Choe et al. 2020, "Evaluating Weakly Supervised Object Localization Methods Right",
    CVPR, arXiv 2001.07437): compare methods at several. Objects are their masks if there are any,
    else their boxes.

    Args:
        heatmap: The map, [H, W].
        truth: Where the objects are.
        threshold: The share of the maximum that a place must exceed, at least 0 and below 1.

    Raises:
        TruthError: The map has another size than the mask, or the threshold is out of range.
    """
    if not 0 <= threshold < 1:
        raise TruthError(f"threshold={threshold} is no share of a maximum; give 0 to 0.99")
    found = _measured(heatmap, _region(heatmap, truth))
    if found is None:
        return math.nan
    evidence, region = found
    marked = evidence > threshold * evidence.max()
    return np.count_nonzero(marked & region) / np.count_nonzero(marked | region)


def rank(heatmap: NDArray[Any], truth: Truth) -> float:
    """Return the share of the K places with most evidence that lie on objects of K pixels.

    The relevance rank accuracy of Arras et al. 2022, "CLEVR-XAI: A benchmark dataset for the ground
    truth evaluation of neural network explanations" (Information Fusion, arXiv 2003.07258). Of
    equal values at the end of the K each counts by its share; places without evidence hit nothing.
    Objects are their masks if there are any, else their boxes.

    Args:
        heatmap: The map, [H, W].
        truth: Where the objects are.

    Raises:
        TruthError: The map has another size than the mask.
    """
    found = _measured(heatmap, _region(heatmap, truth))
    if found is None:
        return math.nan
    evidence, region = found
    count = np.count_nonzero(region)
    last = np.partition(evidence, evidence.size - count, axis=None)[evidence.size - count]
    above = evidence > last
    hits = float(np.count_nonzero(above & region))
    if last > 0:
        hits += (count - np.count_nonzero(above)) * float(region[evidence == last].mean())
    return hits / count


def _region(heatmap: NDArray[Any], truth: Truth) -> Region | None:
    """Return the pixels of the objects: the mask, else the boxes; None: there are none."""
    size = _size(heatmap, truth)
    if truth.mask is not None:
        return truth.mask
    return paint_boxes(truth.boxes, size) if len(truth.boxes) else None


def _size(heatmap: NDArray[Any], truth: Truth) -> tuple[int, int]:
    """Return height and width of a map, if they are those of the photograph."""
    shape = heatmap.shape
    if len(shape) != 2 or (truth.mask is not None and truth.mask.shape != shape):
        photograph = "[H, W]" if truth.mask is None else list(truth.mask.shape)
        raise TruthError(
            f"the map has shape {list(shape)}, and the photograph {photograph}; give the map over "
            "the photograph"
        )
    return shape


def _measured(heatmap: NDArray[Any], region: Region | None) -> tuple[Evidence, Region] | None:
    """Return the evidence of a map and a region; None where there is nothing to measure."""
    if region is None or not region.any() or not np.isfinite(heatmap).all():
        return None
    return np.maximum(heatmap, 0), region


def _share(found: tuple[Evidence, Region] | None) -> float:
    """Return the share of the evidence inside a region."""
    if found is None:
        return math.nan
    evidence, region = found
    whole = float(evidence.sum(dtype=np.float64))
    return float(evidence[region].sum(dtype=np.float64)) / whole if whole > 0 else 0.0
