"""Recurrent layers: directions, optional operands, sequences of several lengths, all outputs.

Most cases give ``Y * Y_h + Y_c``, so that a cotangent comes from each output. Where PyTorch has the
layer (with its gates in another order) it is the twin; else a loop over steps is, and the ONNX
reference evaluator where that knows the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from support.operators.harness import Case, Shape, weights

Tensor: TypeAlias = torch.Tensor
Outputs: TypeAlias = Literal["all", "first", "last"]

T, F, H = 4, 2, 3  # steps, features, hidden units
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# Where PyTorch has ONNX's gates: LSTM iofc as ifgo, GRU zrh as rzn.
ORDER = {"LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2], "RNN": [0]}
STATES = {"LSTM": ["h0", "c0"], "GRU": ["h0"], "RNN": ["h0"]}
DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
DEFAULT = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
FUNCTIONS = {"Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Relu": torch.relu}
FULL = "the reference evaluator takes all sequences to be full"
OTHER = "the reference evaluator has the default activations only"
# One step of the first image, two of the second, ...
COUNTED = """n = Shape<start=1, end=2>(x) s = Squeeze(n) i = Range(zero, s, one) j = Add(i, one)
lengths = Cast<to=6>(j) """


def _shape(kind: str, direction: str, name: str, batch: int | str = "N") -> Shape:
    count, size = len(DIRECTIONS[direction]), GATES[kind] * H
    shapes: dict[str, Shape] = {
        "x": (T, batch, F), "w": (count, size, F), "r": (count, size, H), "b": (count, 2 * size),
        "h0": (count, batch, H), "c0": (count, batch, H), "p": (count, 3 * H),
    }  # fmt: skip
    return shapes[name]


def _text(kind: str, given: Sequence[str], attributes: str, outputs: Outputs) -> str:
    """The layer with its operands in their places, and what it gives in ``y``."""
    places = ["x", "w", "r", "b", "lengths", "h0", "c0", "p"]
    operands = ", ".join(name if name in given else "" for name in places).rstrip(", ")
    layer = f"{kind}<hidden_size={H}{attributes}>({operands})"
    if outputs == "first":
        return f"y = {layer}"
    if kind == "LSTM":
        return {
            "all": f"v, h, c = {layer} m = Mul(v, h) y = Add(m, c)",
            "last": f", h, c = {layer} y = Mul(h, c)",
        }[outputs]
    return {"all": f"v, h = {layer} y = Mul(v, h)", "last": f", y = {layer}"}[outputs]


def _chosen(outputs: Outputs, y: Tensor, h: Tensor, c: Tensor | None = None) -> Tensor:
    """`_text`'s ``y`` of a layer's outputs."""
    if outputs == "first":
        return y
    if c is None:
        return y * h if outputs == "all" else h
    return y * h + c if outputs == "all" else h * c


def _torch(
    kind: str, backwards: Sequence[bool], x: Tensor, w: Tensor, r: Tensor, b: Tensor, *start: Tensor
) -> list[Tensor]:
    """PyTorch's own layer: Y and the last states."""
    layer = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN": torch.rnn_tanh}[kind]

    def reordered(value: Tensor) -> Tensor:
        return torch.cat([value.chunk(GATES[kind])[gate] for gate in ORDER[kind]])

    flat = [reordered(part) for i in range(len(w)) for part in (w[i], r[i], *b[i].chunk(2))]
    x = x.flip(0) if backwards == [True] else x
    both = len(backwards) == 2
    states = list(start) if kind == "LSTM" else start[0]
    y, *last = layer(x, states, flat, True, 1, 0.0, False, both, False)
    y = y.flip(0) if backwards == [True] else y
    return [y.unflatten(2, (len(w), H)).transpose(1, 2), *last]


def _step(
    kind: str, names: Sequence[str], x: Tensor, h: Tensor, c: Tensor,
    w: Tensor, r: Tensor, b: Tensor, p: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One step of one image, as the operators' specification has it: the states after it."""
    f, *others = (FUNCTIONS[name] for name in names)
    wb, rb = b.chunk(2)
    if kind == "RNN":
        return f(w @ x + r @ h + wb + rb), c
    if kind == "LSTM":
        i, o, forget, g = (w @ x + r @ h + wb + rb).chunk(4)
        p_i, p_o, p_f = p.chunk(3)
        new = f(forget + p_f * c) * c + f(i + p_i * c) * others[0](g)
        return f(o + p_o * new) * others[1](new), new
    z, reset, _ = f(w @ x + r @ h + wb + rb).chunk(3)
    w_n, r_n, wb_n, rb_n = (part.chunk(3)[2] for part in (w, r, wb, rb))
    n = others[0](w_n @ x + wb_n + r_n @ (reset * h) + rb_n)
    return (1 - z) * n + z * h, c


def _loop(
    kind: str, backwards: Sequence[bool], names: Sequence[str], lengths: Sequence[int],
    x: Tensor, w: Tensor, r: Tensor, **more: Tensor,
) -> list[Tensor]:  # fmt: skip
    """All steps of all images one by one; what lies beyond an image's length does not count."""
    none = x.new_zeros(len(w), x.shape[1], 2 * GATES[kind] * H)
    b, p = more.get("b", none[:, 0]), more.get("p", none[:, 0].repeat(1, 3)[:, : 3 * H])
    h0, c0 = (more.get(name, none[..., :H]) for name in ("h0", "c0"))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for d, back in enumerate(backwards):
        width = len(DEFAULT[kind])
        for n in range(x.shape[1]):
            h, c, rows = h0[d, n], c0[d, n], [x.new_zeros(H)] * T
            steps = range(lengths[n])
            for t in reversed(steps) if back else steps:
                own = w[d], r[d], b[d], p[d]
                h, c = _step(kind, names[d * width :][:width], x[t, n], h, c, *own)
                rows[t] = h
            found.append((torch.stack(rows), h, c))
    y, h, c = (torch.stack(parts).unflatten(0, (len(w), -1)) for parts in zip(*found, strict=True))
    return [y.permute(2, 0, 1, 3), h, *([c] if kind == "LSTM" else [])]


def _case(
    name: str, kind: str, direction: str, operands: Sequence[str] = (), *,
    outputs: Outputs = "all", attributes: str = "", before: str = "", layer: str = "loop",
    lengths: Sequence[int] = (T, T, T), activations: Sequence[str] = (), batch: int | str = "N",
    frozen: Sequence[str] = (), constants: Mapping[str, Any] | None = None,
    open: tuple[tuple[int, ...], ...] = ((1,),), **more: Any,
) -> Case:  # fmt: skip
    """A layer with a cotangent for every operand but the frozen ones."""
    ways = DIRECTIONS[direction]
    names = list(activations) or DEFAULT[kind] * len(ways)
    if activations:
        attributes += ", activations=[" + ", ".join(f'"{name}"' for name in activations) + "]"
    given = ["x", "w", "r", *operands]
    moving = [name for name in given if name not in frozen]
    fixed = {
        name: weights(*(int(n) for n in _shape(kind, direction, name))) for name in frozen
    }  # fmt: skip

    def twin(*values: Tensor) -> Tensor:
        table = {name: torch.tensor(np.float32(array)) for name, array in fixed.items()}
        table = {name: value.to(values[0].dtype) for name, value in table.items()}
        table.update(zip(moving, values, strict=True))
        if layer == "torch":
            found = _torch(kind, ways, *(table[name] for name in given))
        else:
            found = _loop(kind, ways, names, lengths, **table)
        return _chosen(outputs, *found)

    with_lengths = [*given, *(["lengths"] if min(lengths) < T else [])]
    return Case(
        f"{kind}, {direction}, {name}",
        before + _text(kind, with_lengths, f', direction="{direction}"{attributes}', outputs),
        {name: _shape(kind, direction, name, batch) for name in moving}, twin,
        {**fixed, **(constants or {})}, span=(-1.0, 1.0), open=open, **more,
    )  # fmt: skip


def _reversal(batch: int, shape: Shape) -> Case:
    """The first 2, 1 and 4 steps of three images in reverse."""

    def twin(x: Tensor) -> Tensor:
        pairs = zip(x.movedim(batch, 0), (2, 1, 4), strict=True)
        turned = [torch.cat([row[:count].flip(0), row[count:]]) for row, count in pairs]
        return torch.stack(turned).movedim(0, batch)

    return Case(
        f"reverse sequence, batch axis {batch}, {len(shape)} axes",
        f"y = ReverseSequence<batch_axis={batch}, time_axis={1 - batch}>(x, counts)",
        {"x": shape}, twin, {"counts": [2, 1, 4]},
    )  # fmt: skip


EVERY = [(kind, direction) for kind in GATES for direction in DIRECTIONS]
STEPS = ((1,), (0, 1))
AFTER = {"LSTM": "", "GRU": ", linear_before_reset=1", "RNN": ""}
COUNTS = {"zero": np.array(0), "one": np.array(1)}

CASES = [
    *(_case("as PyTorch", kind, direction, ["b", *STATES[kind]], layer="torch",
            attributes=AFTER[kind]) for kind, direction in EVERY),
    *(_case("constant weights", kind, direction, ["b"], frozen=["w", "r", "b"], outputs="first",
            open=STEPS) for kind, direction in EVERY),
    *(_case("no optional operands", kind, "forward") for kind in GATES),
    *(_case("last states only", kind, "bidirectional", ["b", *STATES[kind]], outputs="last")
      for kind in GATES),
    *(_case("reset before the product", "GRU", direction, ["b", "h0"]) for direction in DIRECTIONS),
    *(_case("peepholes", "LSTM", direction, ["b", "h0", "c0", "p"]) for direction in DIRECTIONS),
    _case("peepholes alone", "LSTM", "reverse", ["p"]),
    *(_case("constant lengths", kind, direction, ["b", *STATES[kind]], lengths=(2, 4, 1), batch=3,
            constants={"lengths": np.array([2, 4, 1], np.int32)}, reference="none", remark=FULL)
      for kind, direction in EVERY),
    *(_case("lengths computed", kind, direction, ["b"], lengths=(1, 2, 3), before=COUNTED,
            constants=COUNTS, reference="none", remark=FULL) for kind, direction in EVERY),
    *(_case("lengths and peepholes", "LSTM", direction, ["h0", "c0", "p"], lengths=(1, 2, 3),
            before=COUNTED, constants=COUNTS, reference="none", remark=FULL)
      for direction in DIRECTIONS),
    *(_case("-".join(names).lower(), kind, direction, ["b", *STATES[kind]], activations=names,
            reference="none", remark=OTHER)
      for kind, direction, names in (
          ("RNN", "forward", ["Relu"]),
          ("RNN", "bidirectional", ["Sigmoid", "Relu"]),
          ("GRU", "reverse", ["Sigmoid", "Relu"]),
          ("GRU", "bidirectional", ["Sigmoid", "Relu", "Relu", "Tanh"]),
          ("LSTM", "forward", ["Sigmoid", "Relu", "Sigmoid"]),
          ("LSTM", "bidirectional", ["Sigmoid", "Tanh", "Relu", "Relu", "Sigmoid", "Tanh"]),
      )),
    *(_reversal(batch, shape) for batch, shape in (
        (0, (3, 4)), (1, (4, 3)), (0, (3, 4, 2, 2)), (1, (4, 3, 1, 2)))),
]  # fmt: skip
