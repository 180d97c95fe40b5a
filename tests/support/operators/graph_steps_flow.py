"""Steps with recurrences, branches, sequences, and places that are computed.

REAL stands for the model's type where a branch or a body declares its values.
"""

from __future__ import annotations

import numpy as np

from support.operators.graph_builder import Builder, Shape
from support.operators.graph_table import step
from support.operators.harness import weights

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _typed(shape: Shape, name: str) -> str:
    return f"REAL[{', '.join(map(str, ('N', *shape)))}] {name}"


@step(2, measured=True)
def recur(build: Builder, x: str, shape: Shape) -> None:
    """A recurrent layer along the first axis behind the batch."""
    kind, size = build.one_of(*_GATES), 2
    direction = build.one_of("forward", "reverse", "bidirectional")
    count, gates = 1 + (direction == "bidirectional"), _GATES[kind] * size
    text = f'hidden_size={size}, direction="{direction}"'
    if kind == "GRU":
        text += f", linear_before_reset={build.number(0, 1)}"
    along = build.hidden(f"Transpose<perm=[1, 0, 2]>({x})")
    w = build.tensor(count, gates, shape[-1], fan=shape[-1])
    r, b = build.tensor(count, gates, size, fan=size), build.tensor(count, 2 * gates)
    states = build.hidden(f"{kind}<{text}>({along}, {w}, {r}, {b})")
    build.add(f"Transpose<perm=[2, 0, 1, 3]>({states})")


@step(measured=True)
def branch(build: Builder, x: str, shape: Shape) -> None:
    """One of two branches, by a constant or by what the graph works out."""
    if build.one_of(True, False):
        test = build.constant(build.one_of(True, False))
    else:
        extent = build.hidden(f"Gather<axis=0>({build.hidden(f'Shape({x})')}, {build.constant(1)})")
        test = build.hidden(f"Greater({extent}, {build.constant(build.number(0, 3))})")
    name = f"b{len(build.lines)}"
    kinds = build.one_of("Tanh", "Neg"), build.one_of("Sigmoid", "Relu")
    yes, no = (
        f"{side}{name} () => ({_typed(shape, f'{side}{name}v')}) {{ {side}{name}v = {kind}({x}) }}"
        for side, kind in zip("yn", kinds, strict=True)
    )
    build.add(f"If<then_branch = {yes}, else_branch = {no}>({test})")


@step(2, 3, 4, measured=True, rare=True)
def scan(build: Builder, x: str, shape: Shape) -> None:
    """Running sums along an axis, by a Scan."""
    state, name = shape[1:], f"s{len(build.lines)}"
    start = build.hidden(f"Gather<axis=1>({x}, {build.constant(0)})")
    reads = f"{_typed(state, f'{name}a')}, {_typed(state, f'{name}b')}"
    writes = f"{_typed(state, f'{name}c')}, {_typed(state, f'{name}d')}"
    body = f"{name}e = Tanh({name}a) {name}c = Add({name}e, {name}b) {name}d = Identity({name}c)"
    text = "num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1]"
    text += f", scan_input_directions=[{build.number(0, 1)}]"
    text += f", body = {name} ({reads}) => ({writes}) {{ {body} }}"
    build.hidden(f"Identity({x})\n{name}last, {name}all = Scan<{text}>({start}, {x})")
    build.add(f"Identity({name}all)")


@step(measured=True, rare=True)
def sequence(build: Builder, x: str, shape: Shape) -> None:
    """Parts of a value in a sequence, and one of them, or all in another order."""
    axis = build.axis(shape)
    parts = build.hidden(f"SplitToSequence<axis={axis}>({x}, {build.constant(1)})")
    at = build.constant(build.number(-shape[axis - 1], shape[axis - 1] - 1))
    one = build.hidden(f"SequenceAt({parts}, {at})")
    if build.one_of(True, False):
        build.add(f"Identity({one})")
    else:
        more = build.hidden(f"SequenceInsert({parts}, {one})")
        build.add(f"ConcatFromSequence<axis={axis}>({more})")


@step(measured=True)
def scatter(build: Builder, x: str, shape: Shape) -> None:
    """Values written over others, or read, at the same places of every image."""
    axis = build.axis(shape)
    rows = build.constant(
        (weights(1, *shape) * 100).astype(int) % shape[axis - 1] - build.one_of(0, shape[axis - 1])
    )
    places = build.hidden(f"Expand({rows}, {build.hidden(f'Shape({x})')})")
    if build.one_of(True, False):
        build.add(f"GatherElements<axis={axis}>({x}, {places})")
        return
    kinds = ["add", "mul"] * (build.opset >= 16) + ["max", "min"] * (build.opset >= 18)
    kind = build.one_of("", *kinds)
    if kind:
        other = build.hidden(f"Mul({x}, {build.constant(0.5)})")
        build.add(f'ScatterElements<axis={axis}, reduction="{kind}">({x}, {places}, {other})')
        return
    # Without a reduction a place must not be written twice: one row is.
    row = build.constant(np.full([1] * (len(shape) + 1), build.number(0, shape[axis - 1] - 1)))
    mean = build.hidden(build.reduction("Mean", x, [axis]))
    places = build.hidden(f"Expand({row}, {build.hidden(f'Shape({mean})')})")
    build.add(f"ScatterElements<axis={axis}>({x}, {places}, {mean})")


@step(3, since=16, measured=True)
def sample(build: Builder, x: str, shape: Shape) -> None:
    """GridSample at constant places, some of them outside."""
    linear, cubic = ("linear", "cubic") if build.opset >= 20 else ("bilinear", "bicubic")
    text = f'mode="{build.one_of(linear, "nearest", cubic)}", align_corners={build.number(0, 1)}'
    text += f', padding_mode="{build.one_of("zeros", "border", "reflection")}"'
    first = build.hidden(f"Gather<axis=0>({build.hidden(f'Shape({x})')}, {build.constant([0])})")
    target = build.hidden(f"Concat<axis=0>({first}, {build.constant([2, 3, 2])})")
    grid = build.constant(weights(1, 2, 3, 2, low=-1.2, high=1.2))
    build.add(f"GridSample<{text}>({x}, {build.hidden(f'Expand({grid}, {target})')})")
