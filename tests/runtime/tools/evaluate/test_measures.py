"""The measures, by hand on the patch model, whose scores are sums over colours."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.evaluate.measure import MEASURES, choose_measures
from graftcam.runtime.tools.evaluate.measures.faithful import infidelity
from graftcam.runtime.tools.evaluate.measures.fill import FILLS, Filler
from graftcam.runtime.tools.evaluate.measures.impute import impute
from graftcam.runtime.tools.evaluate.measures.masking import (
    adcc,
    as_mask,
    average_drop,
    correlation,
    increase,
    masked_confidences,
    sparseness,
)
from graftcam.runtime.tools.evaluate.measures.removal import area, curves, distinct, ranks_of, road
from graftcam.runtime.tools.evaluate.measures.stability import class_sensitivity, sensitivity
from graftcam.runtime.tools.evaluate.settings import Tuning
from graftcam.runtime.tools.evaluate.subjects import Subjects

SIZE = 32
RED = np.array([0.1, 0.05, 0.05], np.float32)


@pytest.fixture
def subjects(artifact: Path) -> Subjects:
    """Two images of the patch model, dark but for a red square each; the class is red."""
    images = np.zeros((2, 3, SIZE, SIZE), np.float32)
    images += 0.05 * np.random.default_rng(0).random(images.shape, np.float32)
    images[0, 0, 8:16, 16:24] = images[1, 0, 16:24, 0:8] = 1
    session = Session(artifact, "cpu", 1)
    feeds = {"image": images, "class_index": np.zeros((2, 1), np.int64)}
    return Subjects(MethodInput(session, feeds, "image", session.spec.layers[0]), 2)


def square(*, noise: float = 0.01) -> np.ndarray:
    """A map [2, H, W] that shows just the red squares, and a little noise without ties."""
    maps = noise * np.random.default_rng(1).random((2, SIZE, SIZE), np.float32)
    maps[0, 8:16, 16:24] += 1
    maps[1, 16:24, 0:8] += 1
    return maps


def confidence(explainer: Explainer, image: np.ndarray) -> float:
    """The probability of red of one image [H, W, C], by the artifact's own outputs."""
    logits = explainer.run(np.moveaxis(image, -1, 0)[None], [[0]])["logits"][0]
    powers = np.exp(logits - logits.max())
    return float(powers[0] / powers.sum())


@pytest.mark.parametrize("how", FILLS)
@pytest.mark.parametrize("measure", ["insertion", "deletion"])
def test_curves_are_those_of_a_loop(
    subjects: Subjects, explainer: Explainer, measure: str, how: str
) -> None:
    maps, tuning = square(), Tuning(steps=5, insertion_fill=how, deletion_fill=how)
    other = maps[:, ::-1, ::-1].copy()
    ranks = [ranks_of(one, 0) for one in (maps, other)]
    found = curves(subjects, ranks, tuning, [measure])[measure]
    counts = [SIZE * SIZE * step // 5 for step in range(6)]
    for (place, own), row in itertools.product(enumerate((maps, other)), range(2)):
        image = subjects.images[row]
        order = np.argsort(-own[row].ravel())
        expected: list[float] = []
        for count in counts:
            chosen = np.zeros(SIZE * SIZE, bool)
            chosen[order[:count]] = True
            removed = ~chosen if measure == "insertion" else chosen
            changed = Filler(image, how).without(removed.reshape(SIZE, SIZE))
            expected.append(confidence(explainer, changed))
        np.testing.assert_allclose(found[place, row], expected, rtol=1e-5)


def test_a_map_of_the_evidence_beats_its_opposite(subjects: Subjects) -> None:
    tuning = Tuning(steps=8)
    ranks = [ranks_of(one, 0) for one in (square(), -square())]
    found = {name: area(one) for name, one in
             curves(subjects, ranks, tuning, ["insertion", "deletion"]).items()}  # fmt: skip
    assert (found["insertion"][0] > found["insertion"][1] + 0.015).all()
    assert (found["deletion"][0] < found["deletion"][1] - 0.015).all()
    good, bad = road(subjects, ranks, tuning)
    assert (good > 0.02).all()
    np.testing.assert_allclose(good, -bad, atol=0.01)


def test_ties_have_no_preferred_place() -> None:
    ranks = ranks_of(np.zeros((2, 40, 40), np.float32), 3)
    assert sorted(ranks[0].ravel()) == list(range(1600))
    assert np.array_equal(ranks[0], ranks[1])
    assert abs(ranks[0][:20].mean() - ranks[0][20:].mean()) < 60


def test_ranks_begin_at_the_brightest() -> None:
    maps = np.array([[[0.1, 0.9], [0.5, -1.0]]], np.float32)
    assert ranks_of(maps, 0).tolist() == [[[2, 0], [1, 3]]]


def test_maps_that_differ_by_rounding_count_once() -> None:
    first = square()
    assert distinct([first, 5 * first * (1 + 1e-7), -first, first]) == ([0, 2], [0, 0, 1, 0])


def test_imputation_solves_its_equations() -> None:
    image = np.random.default_rng(0).random((17, 23, 2), np.float32)
    removed = np.random.default_rng(1).random((17, 23)) < 0.6
    removed[:5, :7] = True
    found = impute(image, removed)
    assert np.array_equal(found[~removed], image[~removed])
    padded = np.pad(found, ((1, 1), (1, 1), (0, 0)))
    inside = np.pad(np.ones((17, 23)), 1)
    total, weight = np.zeros_like(found), np.zeros((17, 23))
    for down, right in itertools.product((0, 1, 2), repeat=2):
        if (down, right) != (1, 1):
            share = 1 / 6 if 1 in (down, right) else 1 / 12
            total += share * padded[down : down + 17, right : right + 23]
            weight += share * inside[down : down + 17, right : right + 23]
    np.testing.assert_allclose(found[removed], (total / weight[..., None])[removed], atol=3e-3)


def test_drop_and_increase_by_hand() -> None:
    before = np.array([0.8, 0.5, 0.0], np.float32)
    after = np.array([[0.2, 0.6, 0.1]])
    np.testing.assert_allclose(average_drop(before, after), [[0.75, 0, 0]])
    assert increase(before, after).tolist() == [[0, 1, 1]]


def test_masked_confidence_is_that_of_the_product(subjects: Subjects, explainer: Explainer) -> None:
    mask = as_mask(square())
    assert mask.max() == 1
    (found,) = masked_confidences(subjects, [mask])
    expected = [confidence(explainer, subjects.images[n] * mask[n][..., None]) for n in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_adcc_by_hand(subjects: Subjects) -> None:
    mask, drops = as_mask(square(noise=0)), np.array([[0.2, 1.0]])
    found = adcc(subjects, [mask], lambda _number, _subjects: mask, drops)
    brevity = 1 - 64 / SIZE**2
    assert found[0, 0] == pytest.approx(3 / (1 / 0.8 + 1 + 1 / brevity))
    assert found[0, 1] == 0


def test_an_empty_map_has_no_coherency(subjects: Subjects) -> None:
    none = np.zeros((2, SIZE, SIZE), np.float32)
    found = adcc(subjects, [none], lambda _number, _subjects: none, np.zeros((1, 2)))
    assert found.tolist() == [[0, 0]]


def test_sparseness_of_one_place_and_of_all() -> None:
    maps = np.zeros((4, 10, 10), np.float32)
    maps[0, 3, 3] = 1
    maps[1] = 0.5
    maps[2] = np.arange(100, dtype=np.float32).reshape(10, 10)
    found = sparseness(maps)
    assert found[0] == pytest.approx(0.99)
    assert found[1] == pytest.approx(0)
    # Of 0 ... n - 1 the Gini index is (n + 1) / (3 n).
    assert found[2] == pytest.approx(101 / 300)
    assert found[3] == 0


def test_infidelity_of_the_exact_shares_is_zero(subjects: Subjects) -> None:
    # The score of red is 4 times the mean of the red channel, a sum over pixels.
    red = subjects.images[..., 0]
    exact = red - red.mean(axis=(1, 2), keepdims=True)
    found = infidelity(subjects, [exact, -exact, square(), 7 * exact], Tuning(squares=32))
    np.testing.assert_allclose(found[0], 0, atol=1e-6)
    np.testing.assert_allclose(found[1], 1, atol=1e-6)
    np.testing.assert_allclose(found[3], found[0], atol=1e-6)
    assert (found[2] > 1e-4).all()
    assert (found[2] < 0.6).all()


def test_sensitivity_is_the_largest_relative_change(subjects: Subjects) -> None:
    maps = square()
    calls = itertools.count(1)

    def explain(changed: Subjects) -> list[np.ndarray]:
        noise = changed.images - subjects.images
        assert 0 < np.abs(noise).max() <= 0.02 * np.ptp(subjects.images) * 1.0001
        return [maps * (1 + 0.1 * next(calls)), np.zeros_like(maps)]

    found = sensitivity(subjects, [maps, np.zeros_like(maps)], explain, Tuning(noises=3))
    np.testing.assert_allclose(found, [[0.3, 0.3], [0, 0]], rtol=1e-5)


def test_class_sensitivity_is_the_correlation_with_the_other_classs_map(
    subjects: Subjects,
) -> None:
    maps = square()

    def explain(changed: Subjects) -> list[np.ndarray]:
        assert changed.classes.tolist() == [[3], [2]]
        return [maps * 2 + 1, -maps, np.zeros_like(maps)]

    found = class_sensitivity(subjects, [maps] * 3, explain, np.array([3, 2]))
    np.testing.assert_allclose(found, [[1, 1], [-1, -1], [0, 0]], atol=1e-6)


def test_correlation_is_numpys() -> None:
    first, other = np.random.default_rng(0).random((2, 3, 5, 6))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(first, other, strict=True)]
    np.testing.assert_allclose(correlation(first, other), expected)


def test_all_leaves_out_what_has_no_needs() -> None:
    assert "pointing" not in choose_measures(["all"], [])
    assert choose_measures(["all"], ["boxes", "masks", "weights"]) == list(MEASURES)
    assert choose_measures(["road", "insertion", "road"], []) == ["insertion", "road"]
    assert "pointing" in choose_measures([], ["boxes"])


@pytest.mark.parametrize(
    ("name", "message"),
    [("pointing", "--truth"), ("weighting", "masks"), ("insert", "did you mean 'insertion'")],
)
def test_a_measure_without_its_needs_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_measures([name], [])


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"steps": 1}, "steps"),
        ({"deletion_fill": "grey"}, "deletion_fill"),
        ({"percentiles": [0, 50]}, "percentiles"),
        ({"percentiles": "all"}, "percentiles"),
        ({"threshold": 1.5}, "threshold"),
        ({"step": 3}, "step"),
    ],
)
def test_a_number_out_of_range_is_refused(tuning: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tuning.of(tuning)
