"""Intervals and tests, against their definitions and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graftcam.runtime.tools.evaluate.report.statistics import holm, interval, paired


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        low, high = interval(generator.normal(3, 2, 40), seed) or (0, 0)
        held += low <= 3 <= high
    assert 0.89 <= held / 200 <= 0.98


def test_the_interval_narrows_with_the_root_of_the_number() -> None:
    values = np.random.default_rng(0).normal(0, 1, 6400)
    (a, b), (c, d) = (interval(values[:100]) or (0, 0)), (interval(values) or (0, 0))
    assert (b - a) / (d - c) == pytest.approx(8, rel=0.25)


def test_one_photograph_has_no_interval_and_few_have_no_test() -> None:
    assert interval(np.array([0.5])) is None
    assert interval(np.array([])) is None
    assert paired(np.arange(5.0), np.zeros(5)) is None


def test_the_test_counts_signs() -> None:
    first, second = np.array([3.0, 1, 4, 1, 5, 9]), np.array([2.0, 7, 1, 8, 2, 8])
    differences = first - second
    means = [np.mean(np.array(s) * differences) for s in itertools.product((1, -1), repeat=6)]
    expected = np.mean([abs(m) >= abs(differences.mean()) - 1e-12 for m in means])
    assert paired(first, second) == pytest.approx(expected)


def test_chance_is_called_a_difference_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    found = [paired(generator.normal(size=20), generator.normal(size=20)) for _ in range(200)]
    assert 0.02 <= np.mean([p is not None and p < 0.05 for p in found]) <= 0.09


def test_a_clear_difference_is_found() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=100)
    assert (paired(values, values + 0.5) or 1) < 0.001
    assert paired(values, values) == 1


def test_holm_multiplies_by_what_is_left() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
