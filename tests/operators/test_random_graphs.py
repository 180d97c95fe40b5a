"""Random graphs: combinations of rules, against finite differences.

A graph is two to six steps from ``x`` to class scores ``y`` [N, classes]; each takes the latest
value, so that all of them lie between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import Phase, assume, given, note, settings
from hypothesis import strategies as st

from graftcam.exporter.differentiate import registry
from graftcam.exporter.differentiate.cotangent import Cotangents
from support.operators.corrected import reference
from support.operators.graph_builder import Builder, Shape
from support.operators.graph_steps import EXACT
from support.operators.harness import Array, Case, Model, graft, run_ort, session

# float32 against float64 through up to six operators, relative to the sum of the products' sizes.
TOLERANCE = 1e-3
# Where two steps give slopes that differ by more than this, there is a kink between them.
SMOOTH = 1e-5
DIRECTIONS = 3
# Numbers per image that a value may have: finite differences evaluate it often.
LARGEST = 160

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]


class Drawn(Case):
    """A random case, shown without its weights."""

    def __repr__(self) -> str:
        shapes = {name: np.shape(array) for name, array in self.constants.items()}
        return f"{self.inputs}: {self.body}\n{shapes}"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Hypothesis would write all of a dataclass out."""
        printer.text(repr(self))


@st.composite
def graphs(draw: Draw) -> Case:
    """A model ``x`` -> ``y`` [N, classes] as a case."""
    firsts: list[Shape] = [(2, 5, 4), (4, 3, 3), (4, 4, 6), (3, 5), (6, 4), (7,)]
    build = Builder(lambda count: draw(st.integers(0, count - 1)), draw(st.sampled_from(firsts)))
    shape = build.latest[1]
    for _ in range(draw(st.integers(2, 6))):
        name, now = build.latest
        # Steps that take maps only come up twice as often.
        fitting = [one for one in EXACT if len(now) in one.ranks]
        fitting += [one for one in EXACT if one.ranks == (3,) and len(now) == 3]
        before = build.state()
        draw(st.sampled_from(fitting)).make(build, name, now)
        if not 0 < math.prod(build.latest[1]) <= LARGEST:
            build.restore(before)
    build.close()
    body = "\n".join(build.lines)
    return Drawn("random", body, {"x": ("N", *shape)}, constants=build.constants, span=(-1.5, 1.5))


def slopes(case: Case, batch: int, towards: Array, step: float) -> Array:
    """Central differences of ``y`` [N, classes] along a direction in ``x``, in float64."""
    evaluator = reference(Model(case, np.float64, batch).proto)
    x = case.feeds(batch)["x"]
    around = [evaluator.run(None, {"x": x + sign * step * towards})[0] for sign in (1, -1)]
    return (around[0] - around[1]) / (2 * step)


def check(case: Case, batch: int, classes: int, *, open_batch: bool, selected: bool) -> None:
    """The gradient of K scores an image, along random directions, is what differences say."""
    rng = np.random.default_rng(batch)
    x = case.feeds(batch)["x"]
    directions = rng.standard_normal((DIRECTIONS, *x.shape))
    expected = [slopes(case, batch, one, 1e-5) for one in directions]
    for one, slope in zip(directions, expected, strict=True):
        size = max(1.0, np.abs(slope).max())
        assume(np.abs(slopes(case, batch, one, 1e-6) - slope).max() <= SMOOTH * size)
    ids = rng.integers(0, expected[0].shape[1], (classes, batch))
    seed: Array = ids
    if not selected:
        seed = (ids[..., None] == np.arange(expected[0].shape[1])).astype(np.float64)
    model = Model(case, np.float32, batch, (0,) if open_batch else ())
    runner = session(graft(model, selected=selected).proto)
    got = run_ort(runner, {"x": x, "seed": seed})["grad_x"].astype(np.float64)
    assert got.shape == (classes, *x.shape)
    for one, slope in zip(directions, expected, strict=True):
        right = np.take_along_axis(slope, ids.T, axis=1).sum(axis=0)
        over = tuple(range(1, got.ndim))
        found, size = (got * one).sum(axis=over), np.abs(got * one).sum(axis=over)
        off = np.abs(found - right) / np.maximum(0.02, size)
        assert (off <= TOLERANCE).all(), f"{found}, not {right} (sizes {size})"


ALL = (graphs(), st.sampled_from([1, 3]), st.sampled_from([0, 1, 2]), st.booleans(), st.booleans())


@given(*ALL)
def test_random_graphs_have_the_gradient_that_finite_differences_find(
    case: Case, batch: int, classes: int, open_batch: bool, selected: bool
) -> None:
    note(case.body)
    check(case, batch, classes, open_batch=open_batch, selected=selected)


@pytest.mark.parametrize("op_type", ["Softmax", "Conv", "Slice"])
def test_a_wrong_rule_is_noticed(op_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.table()[op_type]

    def wrong(*arguments: Any) -> Cotangents:
        return [result and result * 1.05 for result in rule(*arguments)]

    rule: Any = entry.rule
    monkeypatch.setitem(registry._TABLE, op_type, replace(entry, rule=wrong))

    @settings(
        max_examples=400, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False
    )
    @given(*ALL)
    def test(case: Case, batch: int, classes: int, open_batch: bool, selected: bool) -> None:
        check(case, batch, classes, open_batch=open_batch, selected=selected)

    with pytest.raises(AssertionError, match="sizes"):
        test()
