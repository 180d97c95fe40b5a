"""Non-negative factorisation: rows that are sums of a few parts, and scikit-learn's result."""

from __future__ import annotations

import numpy as np
import pytest

from graftcam.runtime.methods.factorise import factorise


def planted(rows: int, columns: int, parts: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Parts, each with columns of its own, and how strong they are in each row; some are 0."""
    generator = np.random.default_rng(seed)
    strengths = generator.uniform(0, 1, (rows, parts)) * (generator.random((rows, parts)) < 0.6)
    concepts = generator.uniform(0, 1, (parts, columns)) ** 4
    return strengths, concepts


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("shape", [(200, 30), (30, 200)], ids=["tall", "wide"])
def test_parts_that_the_rows_were_made_of_are_found(shape: tuple[int, int]) -> None:
    strengths, concepts = planted(*shape, 3)
    found = factorise((strengths @ concepts).astype(np.float32), 3)
    assert found.error < 0.02
    best = [max(cosine(one, own) for own in found.concepts) for one in concepts]
    assert min(best) > 0.98
    np.testing.assert_allclose(found.strengths.max(axis=0), 1)
    assert min(found.strengths.min(), found.concepts.min()) >= 0


def test_shares_are_ordered_and_those_of_the_sum() -> None:
    strengths, concepts = planted(100, 20, 4)
    found = factorise(strengths @ concepts, 4)
    assert list(found.shares) == sorted(found.shares, reverse=True)
    parts = [np.outer(found.strengths[:, r], found.concepts[r]).sum() for r in range(4)]
    np.testing.assert_allclose(found.shares, np.array(parts) / np.sum(parts))


def test_the_error_is_the_distance_and_falls_with_more_parts() -> None:
    data = np.random.default_rng(0).uniform(0, 1, (60, 25))
    errors: list[float] = []
    for count in (1, 2, 4, 8):
        found = factorise(data, count)
        distance = np.linalg.norm(data - found.strengths @ found.concepts)
        np.testing.assert_allclose(found.error, distance / np.linalg.norm(data))
        errors.append(found.error)
    assert errors == sorted(errors, reverse=True)
    # One part is the best of all matrices of rank 1, which are those of the singular vectors.
    values = np.linalg.svd(data, compute_uv=False)
    np.testing.assert_allclose(errors[0], np.sqrt((values[1:] ** 2).sum() / (values**2).sum()))


def test_the_same_rows_give_the_same_parts_in_any_unit() -> None:
    data = np.random.default_rng(0).uniform(0, 1, (60, 25)).astype(np.float32)
    one, other, larger = factorise(data, 3), factorise(data.copy(), 3), factorise(data * 2**20, 3)
    np.testing.assert_array_equal(one.concepts, other.concepts)
    np.testing.assert_allclose(larger.strengths, one.strengths, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(larger.concepts / 2**20, one.concepts, rtol=1e-6, atol=1e-9)


def test_more_parts_than_the_rows_have_leave_some_without_a_share() -> None:
    data = np.outer(np.arange(1.0, 7.0), np.arange(1.0, 6.0))
    found = factorise(data, 3)
    assert found.error < 1e-3
    assert np.isfinite(found.strengths).all()
    assert np.isfinite(found.concepts).all()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_scikit_learn_gets_no_nearer(count: int) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    strengths, concepts = planted(150, 40, 5, seed=1)
    noise = np.random.default_rng(2).uniform(0, 0.05, (150, 40))
    data = strengths @ concepts + noise
    model = decomposition.NMF(count, init="nndsvda", solver="mu", max_iter=500, tol=1e-4)
    theirs = np.linalg.norm(data - model.fit_transform(data) @ model.components_)
    found = factorise(data, count)
    ours = found.error * np.linalg.norm(data)
    assert ours <= 1.005 * theirs
    best = [max(cosine(one, own) for own in found.concepts) for one in model.components_]
    assert min(best) > 0.98
