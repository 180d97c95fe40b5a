"""Measures of maps, with values computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from graftcam.runtime.errors import TruthError
from graftcam.runtime.tools.evaluate.truth.localisation import (
    energy,
    iou,
    pointing,
    rank,
    weighting,
)
from graftcam.runtime.tools.evaluate.truth.truth import Truth
from support.drawn import pixels

Measure = Callable[[np.ndarray, Truth], float]
MEASURES = (pointing, energy, weighting, iou, rank)

MAP = np.array([[0, 4, 2, 0], [-8, 3, 1, 0], [0, 0, 0, 0]], np.float32)  # 10 of evidence
BOX = Truth(np.array([[0.0, 0, 2, 2]]))  # 7 of it
MASK = Truth(np.array([[0.0, 0, 4, 1]]), pixels("..##", "....", "...."))  # the box 6, the mask 2


def test_by_hand() -> None:
    assert (pointing(MAP, BOX), pointing(MAP, MASK)) == (1, 0)
    assert energy(MAP, BOX) == pytest.approx(0.7)
    assert energy(MAP, MASK) == pytest.approx(0.6)
    assert math.isnan(weighting(MAP, BOX))
    assert weighting(MAP, MASK) == pytest.approx(0.2)
    # Above half of 4 are 4 and 3: two of the box's four pixels, none of the mask's two.
    assert (iou(MAP, BOX), iou(MAP, MASK)) == (0.5, 0)
    # Above 0.4 are 4, 2 and 3 as well: two in the box, and one more in the union.
    assert iou(MAP, BOX, threshold=0.4) == pytest.approx(2 / 5)
    # The four highest are 4, 3, 2 and 1.
    assert (rank(MAP, BOX), rank(MAP, MASK)) == (0.5, 0)


def test_equal_maxima_hit_by_their_share() -> None:
    tied = np.array([[5, 5, 0], [0, 5, 5]])
    assert pointing(tied, Truth(np.array([[0.0, 0, 2, 1]]))) == 0.5
    assert pointing(np.ones((4, 5)), Truth(np.array([[0.0, 0, 1, 3]]))) == pytest.approx(3 / 20)


def test_equal_values_at_the_end_of_the_ranks_count_by_their_share() -> None:
    # Three pixels of truth: 9 hits; two more of the four 5 are drawn, of which one is inside.
    tied = np.array([[9, 5, 5, 1], [0, 5, 5, 1]])
    truth = Truth(np.zeros((0, 4)), pixels("##.#", "...."))
    assert rank(tied, truth) == pytest.approx((1 + 2 * 1 / 4) / 3)
    # Places without evidence are no hits.
    assert rank(np.array([[9, 0, 0, 0], [0, -1, 0, 0]]), truth) == pytest.approx(1 / 3)


def test_tolerance_is_a_distance_to_the_object() -> None:
    place = np.zeros((20, 20))
    place[10, 10] = 1
    truth = Truth(np.array([[13.0, 14, 15, 16]]))  # its nearest pixel: 3 and 4 away, so 5
    assert [pointing(place, truth, one) for one in (0, 4.9, 5, 15)] == [0, 0, 1, 1]


def test_the_tolerance_is_that_of_a_disc_around_the_maximum() -> None:
    """As published: the disc around the maximum meets the mask."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:30, :40]
    for tolerance in (1, 2.5, 7):
        for _ in range(10):
            found, mask = generator.random((30, 40)), generator.random((30, 40)) < 0.02
            row, column = np.unravel_index(found.argmax(), found.shape)
            disc = (y - row) ** 2 + (x - column) ** 2 <= tolerance**2
            hit = float((disc & mask).any())
            assert pointing(found, Truth(np.zeros((0, 4)), mask), tolerance) == hit


def test_rank_and_shares_of_random_maps_by_another_formula() -> None:
    generator = np.random.default_rng(1)
    found, mask = generator.random((30, 40)), generator.random((30, 40)) < 0.3
    truth = Truth(np.zeros((0, 4)), mask)
    order = np.argsort(-found, axis=None)[: mask.sum()]
    assert rank(found, truth) == pytest.approx(mask.ravel()[order].mean())
    assert weighting(found, truth) == pytest.approx((found * mask).sum() / found.sum())


@pytest.mark.parametrize("measure", MEASURES)
def test_a_perfect_map_scores_1_and_an_empty_one_0(measure: Measure) -> None:
    truth = Truth(np.array([[1.0, 0, 3, 2]]), pixels(".##.", ".##.", "...."))
    perfect = truth.mask.astype(np.float32)  # type: ignore[union-attr]
    assert measure(perfect, truth) == 1
    assert measure(np.zeros((3, 4), np.float32), truth) == 0
    assert measure(np.full((3, 4), -2, np.float32), truth) == 0
    # Evidence against the class takes nothing away.
    assert measure(np.where(perfect, perfect, -5), truth) == 1


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_map_that_is_not_finite_scores_nan(measure: Measure, value: float) -> None:
    broken = MAP.copy()
    broken[2, 3] = value
    assert math.isnan(measure(broken, MASK))


@pytest.mark.parametrize("measure", MEASURES)
def test_where_nothing_is_drawn_nothing_is_measured(measure: Measure) -> None:
    assert math.isnan(measure(MAP, Truth(np.zeros((0, 4)))))
    assert math.isnan(measure(MAP, Truth(np.zeros((0, 4)), np.zeros((3, 4), bool))))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_map_of_another_size_is_refused(measure: Measure) -> None:
    with pytest.raises(TruthError, match="the map over the photograph"):
        measure(MAP.T, MASK)
    with pytest.raises(TruthError, match=r"shape \[1, 3, 4\]"):
        measure(MAP[None], BOX)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, math.nan])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(TruthError, match="threshold"):
        iou(MAP, BOX, threshold)
