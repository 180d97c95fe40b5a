"""The first principal component in plain operators: there is no eigenvalue operator in ONNX.

A symmetric matrix squared again and again becomes v v^T, where v is the eigenvector of its largest
eigenvalue: with s squarings the second eigenvalue's share falls to (l2 / l1)^(2^s). Products of
matrices are what every runtime does fast, and their number does not depend on the data.
"""

from __future__ import annotations

import onnx_ir as ir

from ...runtime.methods.component import NOTHING
from ..differentiate.support.values import emit_part, identity, places
from ..graph.emitter import Emitter
from .channel_rows import BOOL, Flat, mean, quotient, total

# Exponent 2^12: eigenvalues 0.3 % apart are told apart to 1e-5, which is what float32 has left of
# inner products; closer ones, to less.
SQUARINGS = 12
_AT_ONCE = 3  # squarings between normalisations: entries up to m become up to m^8
_ROUNDING = 2e-6  # of a float32 mean of up to thousands of numbers
_FEW = 512  # channels of which a matrix may be made where the number of places is open


def first_component(emit: Emitter, flat: Flat, terms: ir.Value) -> ir.Value:
    """`runtime.methods.component.first_component`: [N, J, C, P] to [N, J, P], centred."""
    rows = _centred(emit, terms)
    # Squares of gradients could leave float32's range.
    size = emit.op("ReduceMax", emit.op("Abs", rows), emit.ints([2, 3]), role="size", keepdims=1)
    rows = quotient(emit, rows, size)
    columns = emit.op("Transpose", rows, role="columns", perm=[0, 1, 3, 2])
    if _by_place(flat):
        vector = leading(emit, emit.op("MatMul", columns, rows), _places_of(emit, flat))
        direction = _unit(emit, emit.op("MatMul", vector, columns))
    else:
        direction = leading(emit, emit.op("MatMul", rows, columns), _channels_of(emit, flat))
    component = emit.op("MatMul", direction, rows, role="component")
    return turned(emit, emit.op("Mul", component, size), rows)


def first_kernel_component(emit: Emitter, flat: Flat, terms: ir.Value) -> ir.Value:
    """`runtime.methods.component.first_kernel_component`, sigmoid, gamma = 1 / C."""
    rows = _centred(emit, terms)
    columns = emit.op("Transpose", rows, role="columns", perm=[0, 1, 3, 2])
    count = emit.cast(emit.vector([emit_part(flat.whole, 1)]), ir.DataType.FLOAT)
    inner = emit.op("Div", emit.op("MatMul", columns, rows), count, role="inner")
    kernel = emit.op("Tanh", emit.op("Add", inner, emit.scalar(1.0, inner)), role="kernel")
    means = mean(emit, kernel, 2, keep=True)
    kernel = emit.op("Sub", kernel, means)
    kernel = emit.op("Sub", kernel, mean(emit, kernel, 3, keep=True), role="centred_kernel")
    # This kernel can have negative eigenvalues. Raised by the matrix's norm none is, and the
    # largest stays the largest.
    norm = emit.op("ReduceL2", kernel, emit.ints([2, 3]), role="norm", keepdims=1)
    diagonal = identity(emit, _places_of(emit, flat), ir.DataType.FLOAT)
    raised = emit.op("Add", kernel, emit.op("Mul", norm, diagonal), role="raised")
    vector = leading(emit, raised, _places_of(emit, flat))
    value = total(emit, emit.op("Mul", emit.op("MatMul", vector, kernel), vector), 3, keep=True)
    length = emit.op("Sqrt", _beyond(emit, value, emit.scalar(NOTHING, value)), role="length")
    return turned(emit, emit.op("Mul", vector, length, role="component"), rows)


def leading(emit: Emitter, matrix: ir.Value, extent: int | tuple[ir.Value, int]) -> ir.Value:
    """The eigenvector of the largest eigenvalue, [..., 1, m], 0 for a matrix of zeros.

    Args:
        emit: Where nodes are added.
        matrix: Symmetric with no negative eigenvalue, [N, J, m, m].
        extent: m.
    """
    for step in range(SQUARINGS):
        if step % _AT_ONCE == 0:
            # The largest entry stands on the diagonal: it is no more than the largest eigenvalue.
            top = emit.op("ReduceMax", matrix, emit.ints([2, 3]), role="top", keepdims=1)
            matrix = quotient(emit, matrix, top)
        matrix = emit.op("MatMul", matrix, matrix, role="squared")
    # Of v v^T the longest row, which is not 0 by chance.
    lengths = emit.op("ReduceSumSquare", matrix, emit.ints([3]), role="lengths", keepdims=0)
    longest = emit.op("ArgMax", lengths, role="longest", dtype=ir.DataType.INT64, axis=2)
    chosen = emit.op("Equal", longest, places(emit, extent), role="chosen", dtype=BOOL)
    chosen = emit.op("Unsqueeze", chosen, emit.ints([2]), role="chosen")
    row = emit.op("MatMul", emit.cast(chosen, ir.DataType.FLOAT), matrix, role="row")
    return _unit(emit, row)


def turned(emit: Emitter, component: ir.Value, rows: ir.Value) -> ir.Value:
    """A component [N, J, 1, P] with the sign that its inner product with the rows' sum asks for.

    Returns:
        [N, J, P].
    """
    along = emit.op("Mul", component, total(emit, rows, 2, keep=True))
    agreement = total(emit, along, 3, keep=True)
    against = emit.op("Less", agreement, emit.scalar(0.0, agreement), role="against", dtype=BOOL)
    opposite = emit.op("Neg", component, role="opposite")
    signed = emit.op("Where", against, opposite, component, role="turned", dtype=component.dtype)
    return emit.op("Squeeze", signed, emit.ints([2]), role="component")


def _centred(emit: Emitter, terms: ir.Value) -> ir.Value:
    """Terms [N, J, C, P] less their channel's mean; 0 where only the mean's rounding is left."""
    means = mean(emit, terms, 3, keep=True)
    rows = emit.op("Sub", terms, means, role="centred")
    noise = emit.op("Mul", emit.op("Abs", means), emit.scalar(_ROUNDING, means), role="noise")
    return _beyond(emit, rows, noise)


def _beyond(emit: Emitter, value: ir.Value, bound: ir.Value) -> ir.Value:
    """``value`` where it is larger than ``bound`` in size, else 0."""
    counts = emit.op("Greater", emit.op("Abs", value), bound, role="counts", dtype=BOOL)
    return emit.op("Where", counts, value, emit.scalar(0.0, value), dtype=value.dtype)


def _unit(emit: Emitter, row: ir.Value) -> ir.Value:
    """Rows [..., 1, m] at length 1; a zero stays one."""
    length = emit.op("ReduceL2", row, emit.ints([3]), role="length", keepdims=1)
    return quotient(emit, row, length)


def _by_place(flat: Flat) -> bool:
    """Whether the matrix is made of the places and not of the channels: the smaller of the two.

    Where the number of places is open, it is that of the channels unless they are many, which they
    are in late layers, with few places.
    """
    channels, count = flat.channels, flat.places
    if not isinstance(channels, int):
        return True
    return channels > (_FEW if count is None else count)


def _places_of(emit: Emitter, flat: Flat) -> int | tuple[ir.Value, int]:
    count = flat.places
    return (flat.activations, 3) if count is None else count


def _channels_of(emit: Emitter, flat: Flat) -> int | tuple[ir.Value, int]:
    return emit_part(flat.whole, 1)
