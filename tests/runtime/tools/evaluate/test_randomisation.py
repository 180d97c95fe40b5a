"""How much a map changes: rank correlation and the rise of entropy, on maps of known values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graftcam.runtime.tools.evaluate.randomise.randomisation import (
    entropy,
    randomisation,
    randomisation_entropy,
    spearman,
)

RISING = np.arange(12.0).reshape(3, 4)
CONSTANT = np.full((3, 4), 0.5)


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        (RISING, RISING, 1.0),
        (RISING, np.exp(RISING), 1.0),  # ranks alone count
        (RISING, -RISING, -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),  # 1 - 6 * 2 / (4 * 15)
        ([1, 2, 3], [1, 1, 2], math.sqrt(3) / 2),  # ranks 1.5, 1.5, 3
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.0),
        ([0.0, -0.0, 1.0], [0.0, 0.0, 1.0], 1.0),
        (RISING, CONSTANT, 0.0),
        (CONSTANT, RISING, 0.0),
        (CONSTANT, 2 * CONSTANT, 1.0),
    ],
)
def test_the_rank_correlation_of_known_maps(a, b, value):
    assert spearman(np.asarray(a), np.asarray(b)) == pytest.approx(value, abs=1e-12)


def test_the_rank_correlation_is_that_of_the_formula_without_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.permutation(49), rng.permutation(49)
        expected = 1 - 6 * float(((a - b) ** 2).sum()) / (49 * (49**2 - 1))
        assert spearman(a.reshape(7, 7), b.reshape(7, 7)) == pytest.approx(expected, abs=1e-12)


def test_equal_numbers_may_change_places():
    """Their order in the array says nothing about their ranks."""
    a, b = np.array([0.0, 0.0, 0.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.0, 4.0, 5.0])
    assert spearman(a, b) == pytest.approx(spearman(a, b[[2, 0, 1, 3, 4]]), abs=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_that_is_not_finite_has_no_value(bad):
    spoiled = RISING.copy()
    spoiled[1, 1] = bad
    assert math.isnan(spearman(RISING, spoiled))
    assert math.isnan(entropy(spoiled))
    assert math.isnan(randomisation(RISING, [RISING, spoiled]))
    assert math.isnan(randomisation_entropy(RISING, spoiled))


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        spearman(RISING, RISING.T)


def test_randomisation_is_the_mean_over_the_stages():
    assert randomisation(RISING, [RISING, -RISING, CONSTANT, RISING]) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("values", "value"),
    [
        (CONSTANT, 0.0),
        ([0, 0, 1, 1], math.log(2)),
        ([0, 0, 0, 1], 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
        (np.arange(1000), math.log(100)),
        (1e-30 * np.arange(1000) + 1e-28, math.log(100)),  # whatever the scale
        ([1.0, np.nextafter(1.0, 2)], math.log(2)),  # neighbours in float64
        (np.float32([-3e38, 3e38]), math.log(2)),
    ],
)
def test_the_entropy_of_known_maps(values, value):
    assert entropy(np.asarray(values)) == pytest.approx(value, abs=1e-3)


def test_the_rise_of_entropy_is_relative():
    half, quarter = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
    assert randomisation_entropy(half, quarter) == pytest.approx(1.0)
    assert randomisation_entropy(quarter, half) == pytest.approx(-0.5)
    assert randomisation_entropy(half, CONSTANT) == pytest.approx(-1.0)


def test_a_constant_map_has_no_entropy_to_rise_from():
    assert math.isnan(randomisation_entropy(CONSTANT, RISING))
