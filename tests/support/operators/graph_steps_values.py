"""Steps whose shapes and indices the graph computes, and functions with awkward attributes."""

from __future__ import annotations

import math
import string
from collections.abc import Callable

from support.operators.graph_builder import Builder, Shape
from support.operators.graph_table import step
from support.operators.harness import weights


def _moved(build: Builder, kind: str, x: str, axis: int) -> str:
    """Squeeze or Unsqueeze; their axes became an input in opset 13."""
    if build.opset >= 13:
        return f"{kind}({x}, {build.constant([axis])})"
    return f"{kind}<axes={[axis]}>({x})"


@step(measured=True)
def reshape_by_shape(build: Builder, x: str, shape: Shape) -> None:
    """A Reshape to extents that the graph reads off its values."""
    extents = build.hidden(f"Shape({x})")
    first = build.hidden(f"Gather<axis=0>({extents}, {build.constant([0])})")
    if len(shape) > 1 and build.one_of(True, False):
        last = build.hidden(f"Gather<axis=0>({extents}, {build.constant([-1])})")
        target = build.hidden(f"Concat<axis=0>({first}, {build.constant([-1])}, {last})")
    else:
        target = build.hidden(f"Concat<axis=-1>({first}, {build.constant([-1])})")
    build.add(f"Reshape({x}, {target})")


@step(measured=True)
def expand_by_shape(build: Builder, x: str, shape: Shape) -> None:
    """A mean, made as large as its source again."""
    mean = build.hidden(build.reduction("Mean", x, [build.axis(shape)]))
    build.add(f"Expand({mean}, {build.hidden(f'Shape({x})')})")


@step(measured=True)
def slice_by_shape(build: Builder, x: str, shape: Shape) -> None:
    """The first half of an axis, as the graph works it out."""
    axis = build.axis(shape)
    extents = build.hidden(f"Shape({x})")
    extent = build.hidden(f"Gather<axis=0>({extents}, {build.constant([axis])})")
    one = build.constant([1])
    more = build.hidden(f"Add({extent}, {one})")
    half = build.hidden(f"Div({more}, {build.constant([2])})")
    at = build.constant([build.signed(axis, shape)])
    build.add(f"Slice({x}, {build.constant([0])}, {half}, {at})")


@step(measured=True)
def mask(build: Builder, x: str, shape: Shape) -> None:
    """A comparison that multiplies or selects."""
    bound = build.constant(build.one_of(0.0, 0.3))
    test = build.hidden(f"{build.one_of('Greater', 'Less')}({x}, {bound})")
    if build.one_of(True, False):
        build.add(f"Mul({x}, {build.hidden(f'Cast<to=FLOAT>({test})')})")
    else:
        other = build.hidden(f"Mul({x}, {build.constant(0.25)})")
        build.add(f"Where({test}, {x}, {other})")


@step(measured=True)
def select(build: Builder, x: str, shape: Shape) -> None:
    """The largest along an axis: by TopK, or by the index of the maximum."""
    axis = build.axis(shape)
    signed = build.signed(axis, shape)
    if build.one_of(True, False):
        count = build.constant([build.number(1, min(3, shape[axis - 1]))])
        text = f"axis={signed}, largest={build.number(0, 1)}"
        top = f"v{len(build.lines)}top"
        where = build.hidden(f"Identity({x})\n{top}, {top}_at = TopK<{text}>({x}, {count})")
        assert where
        build.add(f"Identity({top})")
    else:
        at = build.hidden(f"{build.one_of('ArgMax', 'ArgMin')}<axis={signed}>({x})")
        build.add(f"GatherElements<axis={signed}>({x}, {at})")


@step(measured=True)
def stair(build: Builder, x: str, shape: Shape) -> None:
    """A piecewise constant factor: its own gradient is zero."""
    kind = build.one_of("Floor", "Round", "Ceil", "Sign", "Cast")
    if kind == "Cast":
        factor = build.hidden(f"Cast<to=FLOAT>({build.hidden(f'Cast<to=7>({x})')})")
    else:
        factor = build.hidden(f"{kind}({x})")
    build.add(f"Mul({x}, {build.hidden(f'Add({factor}, {build.constant(0.5)})')})")


@step(measured=True)
def fold(build: Builder, x: str, shape: Shape) -> None:
    """Axes of one cell come and go; axes are flattened or counted from the end."""
    kind = build.one_of("Unsqueeze", "Squeeze", "Transpose", "Trilu")
    if kind == "Unsqueeze" and len(shape) < 4:
        build.add(_moved(build, "Unsqueeze", x, build.one_of(1, -1, -2)))
    elif kind == "Squeeze" and 1 in shape:
        axis = shape.index(1) + 1
        build.add(_moved(build, "Squeeze", x, build.signed(axis, shape)))
    elif kind == "Trilu" and build.opset >= 14 and len(shape) > 1:
        build.add(f"Trilu<upper={build.number(0, 1)}>({x}, {build.constant(build.number(-1, 1))})")
    else:
        order = list(range(1, len(shape) + 1))
        turn = build.number(0, len(order) - 1)
        build.add(f"Transpose<perm={[0, *order[turn:], *order[:turn]]}>({x})")


@step(measured=True)
def reduce_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """A reduction over axes counted from the end, also of products and logarithms."""
    kinds = ["Prod", "LogSum", "Max", "Min", "L1", "L2", "LogSumExp", "SumSquare", "Mean"]
    kind = build.one_of(*kinds)
    if kind == "LogSum":
        x = build.hidden(f"Exp({x})")
    axes = [-build.number(1, len(shape))]
    keep = int(len(shape) == 1 or build.one_of(True, False))
    build.add(build.reduction(kind, x, axes, keep))


@step(measured=True)
def compute(build: Builder, x: str, shape: Shape) -> None:
    """A function with attributes or a constant beside the value."""
    kinds = ["Celu", "PRelu", "Pow", "Sqrt", "Exp", "Log", "Reciprocal", "Mod", "Shrink", "Hardmax"]
    kinds += ["Atan", "Sinh", "Sum", "Mean", "Elu", "HardSigmoid", "CumSum", "Clip", "Dropout"]
    kind = build.one_of(*kinds, *["Gelu"][: build.opset >= 20])
    axis = build.signed(build.axis(shape), shape)
    if kind == "Celu" and build.opset < 12:
        kind = "Elu"
    if kind in ("Sqrt", "Log", "Reciprocal"):
        x = build.hidden(f"Add({build.hidden(f'Softplus({x})')}, {build.constant(0.3)})")
    texts: dict[str, Callable[[], str]] = {
        "Celu": lambda: f"Celu<alpha=0.7>({x})",
        "PRelu": lambda: f"PRelu({x}, {build.tensor(*build.narrow(shape))})",
        "Pow": lambda: f"Pow({x}, {build.constant(build.one_of(2.0, 3.0))})",
        "Mod": lambda: f"Mod<fmod=1>({x}, {build.constant(0.7)})",
        "Shrink": lambda: f"Shrink<lambd=0.2, bias={build.one_of(0.0, 0.1)}>({x})",
        "Hardmax": lambda: f"Mul({x}, {build.hidden(f'Hardmax<axis={axis}>({x})')})",
        "Sum": lambda: f"Sum({x}, {x}, {build.tensor(*build.narrow(shape))})",
        "Mean": lambda: f"Mean({x}, {build.tensor(*build.narrow(shape))})",
        "Elu": lambda: f"Elu<alpha=0.5>({x})",
        "HardSigmoid": lambda: f"HardSigmoid<alpha=0.3, beta=0.4>({x})",
        "Clip": lambda: f"Clip({x}, , {build.constant(0.5)})",
        "Gelu": lambda: f'Gelu<approximate="{build.one_of("none", "tanh")}">({x})',
        "CumSum": lambda: (
            f"CumSum<exclusive={build.number(0, 1)}, reverse={build.number(0, 1)}>"
            f"({x}, {build.constant(axis)})"
        ),
    }
    build.add(texts.get(kind, lambda: f"{kind}({x})")())


@step(measured=True)
def contract(build: Builder, x: str, shape: Shape) -> None:
    """A product with weights on the left, by Einsum, with a vector, or by Gemm turned around."""
    kind = build.one_of("left", "einsum", "vector", "gemm")
    letters = string.ascii_lowercase[: len(shape)]
    if kind == "left" and len(shape) > 1:
        build.add(f"MatMul({build.tensor(2, shape[-2], fan=shape[-2])}, {x})")
    elif kind == "einsum" and build.opset >= 12:
        axis = build.axis(shape) - 1
        w = build.tensor(shape[axis], 2, fan=shape[axis])
        after = letters.replace(letters[axis], "z")
        text = f"n{letters},{letters[axis]}z->n{after}"
        build.add(f'Einsum<equation="{text}">({x}, {w})')
    elif kind == "vector" and len(shape) > 1:
        build.add(f"MatMul({x}, {build.tensor(shape[-1], fan=shape[-1])})")
    else:
        flat = x if len(shape) == 1 else build.hidden(f"Flatten({x})")
        size = math.prod(shape)
        w = build.tensor(3, size, fan=size)
        build.add(f"Gemm<transB=1, alpha=0.5, beta=2.0>({flat}, {w}, {build.tensor(3)})")


@step(measured=True)
def pad_anyhow(build: Builder, x: str, shape: Shape) -> None:
    """Padding by reflection, by the edge or all around, also by negative widths."""
    mode = build.one_of("reflect", "edge", "constant", *["wrap"][: build.opset >= 19])
    low, high = ([build.number(-1, 1) if n > 1 else 0 for n in shape] for _ in range(2))
    if mode != "constant":
        low, high = ([abs(n) for n in widths] for widths in (low, high))
    build.add(f'Pad<mode="{mode}">({x}, {build.constant([0, *low, 0, *high])})')


@step(measured=True)
def pick(build: Builder, x: str, shape: Shape) -> None:
    """Cells by constant or computed indices, one of them or several."""
    axis = build.axis(shape)
    extent = shape[axis - 1]
    signed = build.signed(axis, shape)
    if len(shape) > 1 and build.one_of(True, False):
        build.add(
            f"Gather<axis={signed}>({x}, {build.constant(build.number(-extent, extent - 1))})"
        )
    elif build.one_of(True, False):
        rows = [[build.number(-extent, extent - 1)], [0]]
        build.add(f"Gather<axis={signed}>({x}, {build.constant(rows)})")
    else:
        start = build.number(0, extent - 1)
        bounds = build.constant(start), build.constant(-1), build.constant(-1)
        numbers = build.hidden(f"Range({', '.join(bounds)})")
        build.add(f"Gather<axis={signed}>({x}, {numbers})")


@step(measured=True)
def blend(build: Builder, x: str, shape: Shape) -> None:
    """An earlier value of any shape that broadcasts, by any binary operator."""
    fitting = [
        name
        for name, other in build.values
        if len(other) == len(shape) and all(m in (1, n) for m, n in zip(other, shape, strict=True))
    ]
    other = build.one_of(*fitting)
    kind = build.one_of("Add", "Sub", "Mul", "Max", "Min", "Where", "Concat")
    if kind == "Where":
        chosen = build.constant(weights(*shape) > 0)
        build.add(f"Where({chosen}, {other}, {x})")
    elif kind == "Concat":
        whole = build.hidden(f"Expand({other}, {build.hidden(f'Shape({x})')})")
        build.add(f"Concat<axis={build.signed(build.axis(shape), shape)}>({whole}, {x}, {whole})")
    else:
        build.add(f"{kind}({other}, {x})")
