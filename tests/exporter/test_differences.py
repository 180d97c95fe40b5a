"""Differences tell a steep model's bend from a kink, and are taken at the artifact's own values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter.source.torch_inputs import ModuleInputs
from graftcam.exporter.verify.checks.judge import _point  # pyright: ignore[reportPrivateUsage]
from graftcam.exporter.verify.checks.torch_reference import Reference
from graftcam.exporter.verify.float64.differences import Differences, Gradient, compare_all
from graftcam.exporter.verify.runs.matrix import FirstRun, Truth
from graftcam.exporter.verify.verdict.deadline import NO_DEADLINE
from graftcam.runtime.spec import Layer


def _layer(name: str) -> Layer:
    return Layer(name, "", "channels_first", [], 0, "", f"activations.{name}", "")


def _compare(factor: float) -> Differences:
    """Differences of a steep score, whose slope changes within the usual step."""
    generator = np.random.default_rng(0)
    start = 100 + generator.standard_normal((4, 36))
    weights = generator.standard_normal((4, 1))

    def score(value: np.ndarray) -> float:
        return float((weights * np.sin(300 * (value - 100))).mean())

    slope = weights * 300 * np.cos(300 * (start - 100)) / start.size
    asked = Gradient(score, start, slope * factor, _layer(""))
    return compare_all(iter([asked]), 1, np.random.default_rng(0), NO_DEADLINE)


def test_a_steep_score_is_compared_and_not_taken_for_one_with_kinks() -> None:
    found = _compare(1.0)
    assert (found.done, found.reason) == (1, "")
    assert found.error < 1e-6


def test_a_wrong_gradient_of_a_steep_score_shows_its_whole_error() -> None:
    assert _compare(1.01).error == pytest.approx(0.01 / 1.01, rel=1e-3)


def _compare_in_float32(factor: float, *, known: bool = True, kinks: bool = False) -> Differences:
    """Differences of a score that is computed in float32."""
    generator = np.random.default_rng(0)
    start, weights = generator.standard_normal((2, 4, 36))

    def score(value: np.ndarray) -> float:
        bent = np.maximum(value, 0) + np.sin(value) if kinks else np.sin(value)
        return float((weights * bent).astype(np.float32).sum(dtype=np.float32))

    slope = np.cos(start) + (start > 0) * kinks
    asked = Gradient(score, start, weights * slope * factor, _layer(""), in_float32=known)
    return compare_all(iter([asked]), 1, np.random.default_rng(0), NO_DEADLINE)


def test_a_score_in_float32_is_compared_over_longer_steps() -> None:
    assert _compare_in_float32(1.0, known=False).error > 1e-3
    found = _compare_in_float32(1.0)
    assert (found.done, found.reason) == (1, "")
    assert found.error < 5e-4
    assert _compare_in_float32(1.01).error > 5e-3


def test_kinks_of_a_score_in_float32_are_no_errors() -> None:
    found = _compare_in_float32(1.0, kinks=True)
    assert found.error < 1e-3
    assert _compare_in_float32(1.02, kinks=True).error > 5e-3


def test_a_direction_along_which_only_zeros_move_decides_nothing() -> None:
    """Without its zeros nothing of it is left, and a score that stays the same is no slope."""
    start = np.array([[0.0, 1.0]])

    def score(value: np.ndarray) -> float:
        return float(np.maximum(value, 0).sum())

    for slope in (0.0, 1.0):  # both are right where the score has a kink
        values, off = np.array([[slope, 1.0]]), np.array([[1.0, 0.0]])
        asked = Gradient(score, start, values, _layer(""), [off], usual=False)
        found = compare_all(iter([asked]), 1, np.random.default_rng(0), NO_DEADLINE)
        assert (found.done, found.reason) == (0, "the score has a kink in every direction")


class _Three(nn.Module):
    """Two layers side by side, and one that reads the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        return (self.third(first).sin() + self.second(x)).mean((2, 3))


def test_differences_start_at_the_artifacts_values_but_for_what_follows_from_the_layer() -> None:
    layers = [_layer(name) for name in ("first", "second", "third")]
    reference = Reference(_Three(), layers)
    inputs = ModuleInputs.of([torch.rand(2, 3, 4, 4)])
    values = reference.values_of(inputs)
    results = {f"activations.{name}": values[name] + 1e-6 for name in ("first", "second", "third")}
    truth = Truth(FirstRun({}, {}, results, np.zeros((2, 1), np.int64)), {}, {})
    found = _point(reference, inputs, truth, layers[0])
    assert set(found) == {"first", "second"}  # the third follows from the first
    for name in found:
        np.testing.assert_array_equal(found[name], results[f"activations.{name}"])
    assert set(_point(reference, inputs, truth, layers[2])) == {"first", "second", "third"}
