"""A cotangent stays small as long as it can: its factor, its spread axes, its one-hot form."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graftcam.exporter.differentiate.cotangent import Cotangent
from graftcam.exporter.graph.emitter import Emitter

FLOAT = ir.DataType.FLOAT


class Bench:
    """An emitter on a graph of inputs, and what it has made."""

    def __init__(self) -> None:
        self.graph = ir.Graph([], [], nodes=[], opset_imports={"": 18})
        self.emit = Emitter(self.graph)

    def value(self, *shape: int | str | None, dtype: ir.DataType = FLOAT) -> ir.Value:
        """An input."""
        name = f"x{len(self.graph.inputs)}"
        made = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self.graph.inputs.append(made)
        return made

    def cotangent(
        self, *shape: int | str | None, factor: float = 1.0, spread: Sequence[int] = ()
    ) -> Cotangent:
        """A cotangent of a value of that shape."""
        dims = [1 if axis in spread else extent for axis, extent in enumerate(shape)]
        tensor = self.value("K", *dims)
        return Cotangent(self.emit, self.value(*shape), tensor, factor, frozenset(spread))

    def one_hot(self, factor: float = 1.0) -> Cotangent:
        """A cotangent of scores [2, 3]."""
        index = self.value("K", 2, dtype=ir.DataType.INT64)
        return Cotangent(self.emit, self.value(2, 3), None, factor, one_hot=index)

    @property
    def made(self) -> list[str]:
        """The operators of the nodes made so far."""
        return [node.op_type for node in self.graph]


def test_a_product_stays_spread_where_the_operand_has_one_place() -> None:
    bench = Bench()
    g = bench.cotangent(2, 3, 4, 5, factor=0.5, spread=[1, 2, 3])
    product = g * bench.value(3, 1, 1)
    assert (product.factor, product.spread) == (0.5, {2, 3})
    assert bench.made == ["Mul"]


def test_where_the_operand_may_have_one_place_or_many_the_cotangent_is_expanded_first() -> None:
    bench = Bench()
    quotient = bench.cotangent(2, "C", 4, spread=[1, 2]) / bench.value("D", 1)
    assert quotient.spread == {2}
    assert bench.made[-2:] == ["Expand", "Div"]


def test_equal_names_are_equal_extents() -> None:
    bench = Bench()
    assert (bench.cotangent(2, "C", 4, spread=[1, 2]) * bench.value("C", 1)).spread == {2}
    assert bench.made == ["Mul"]


def test_numbers_are_factors_and_cost_nothing() -> None:
    bench = Bench()
    g = bench.cotangent(2, 3) * 0.1 / 4
    assert (-g).factor == -0.025
    assert (g * 40.0).factor == 1.0  # not 1.0000000000000002
    assert bench.made == []


def test_a_sum_keeps_a_common_factor_and_multiplies_others_in() -> None:
    bench = Bench()
    a, b, c = (
        bench.cotangent(2, 3, factor=f, spread=s) for f, s in [(2, [0, 1]), (2, [1]), (3, [])]
    )
    total = a + b
    assert (total.factor, total.spread) == (2, {1})
    assert bench.made == ["Add"]
    total = total + c
    assert (total.factor, total.spread) == (1.0, set())
    assert bench.made == ["Add", "Mul", "Mul", "Add"]


def test_a_one_hot_cotangent_meets_others_as_a_tensor_with_its_factor_in_the_numbers() -> None:
    bench = Bench()
    total = bench.one_hot(factor=8.0) + bench.cotangent(2, 3)
    assert (total.factor, total.one_hot) == (1.0, None)
    assert bench.made == ["Unsqueeze", "Equal", "Cast", "Mul", "Add"]


def test_selected_rows_are_gathered_from_either_order_of_the_weights() -> None:
    bench = Bench()
    rows = bench.one_hot(factor=8.0).selected_rows(bench.value(3, 7))
    assert (rows.factor, rows.one_hot, bench.made) == (8.0, None, ["Gather"])
    bench.one_hot().selected_rows(bench.value(7, 3), axis=1)
    assert bench.made == ["Gather", "Gather", "Transpose"]
