"""This module computes the first principal component; ONNX has no operator for eigenvalues.

A symmetric matrix squared again and again becomes v v^T, where v is the eigenvector of its largest
eigenvalue: with s squarings the second eigenvalue's share falls to (l2 / l1)^(2^s). Products of
matrices are what every runtime does fast, and their number does not depend on the data.
"""

from __future__ import annotations

import onnx_ir as ir

from ...runtime.methods.component import NOTHING
from ..differentiate.support.values import identity, places
from ..graph.emitter import Part, parts_of
from ..graph.expression import Expression
from .channel_rows import ChannelRows

# Exponent 2^12: eigenvalues 0.3 % apart are separated to 1e-5, the precision of inner products in
# float32; closer ones are separated less.
SQUARINGS = 12
_AT_ONCE = 3  # squarings between normalisations: entries up to m become up to m^8
_ROUNDING = 2e-6  # of a float32 mean of up to thousands of numbers
_FEW = 512  # channels of which a matrix may be made where the number of places is open


def first_component(layer: ChannelRows, terms: Expression) -> Expression:
    """`runtime.methods.component.first_component`: [N, J, C, P] to [N, J, P], centred."""
    rows = _centred(terms)
    # Squares of gradients could leave float32's range.
    size = _largest(rows.op("Abs"))
    rows = rows.over(size)
    columns = rows.op("Transpose", perm=[0, 1, 3, 2])
    if _by_place(layer):
        direction = _unit(leading(columns @ rows, _places_of(layer)) @ columns)
    else:
        direction = leading(rows @ columns, parts_of(layer.whole, [1])[0])
    return _turned(direction @ rows * size, rows)


def first_kernel_component(layer: ChannelRows, terms: Expression) -> Expression:
    """`runtime.methods.component.first_kernel_component`, sigmoid, gamma = 1 / C."""
    emit, rows = terms.emit, _centred(terms)
    columns = rows.op("Transpose", perm=[0, 1, 3, 2])
    count = emit.cast(emit.vector([parts_of(layer.whole, [1])[0]]), ir.DataType.FLOAT)
    kernel = ((columns @ rows).op("Div", count) + 1.0).op("Tanh")
    kernel = kernel - kernel.mean([2])
    kernel = kernel - kernel.mean([3])
    # This kernel can have negative eigenvalues. Raised by the matrix's norm none is, and the
    # largest stays the largest.
    diagonal = identity(emit, _places_of(layer), ir.DataType.FLOAT)
    raised = kernel + kernel.norm([2, 3]) * diagonal
    vector = leading(raised, _places_of(layer))
    value = (vector @ kernel * vector).sum([3])
    length = _beyond(value, NOTHING).op("Sqrt")
    return _turned(vector * length, rows)


def leading(matrix: Expression, extent: Part) -> Expression:
    """The eigenvector of the largest eigenvalue, [..., 1, m], 0 for a matrix of zeros.

    Args:
        matrix: Symmetric with no negative eigenvalue, [N, J, m, m].
        extent: m.
    """
    emit = matrix.emit
    for step in range(SQUARINGS):
        if step % _AT_ONCE == 0:
            # The largest entry is on the diagonal, and no more than the largest eigenvalue.
            matrix = matrix.over(_largest(matrix))
        matrix = matrix @ matrix
    # Of v v^T the longest row, which is not 0 by chance.
    lengths = matrix.op("ReduceSumSquare", [3], keepdims=0)
    longest = emit.op("ArgMax", lengths.value, axis=2)
    chosen = emit.op("Equal", longest, places(emit, extent))
    chosen = emit.op("Unsqueeze", chosen, [2])
    return _unit(matrix.indicator(chosen) @ matrix)


def _turned(component: Expression, rows: Expression) -> Expression:
    """A component [N, J, 1, P] with the sign that makes its product with the rows' sum positive.

    Returns:
        [N, J, P].
    """
    agreement = (component * rows.sum([2])).sum([3])
    signed = (-component).where(agreement.below(0.0), component, role="")
    return signed.op("Squeeze", [2])


def _centred(terms: Expression) -> Expression:
    """Terms [N, J, C, P] less their channel's mean; 0 where only its rounding error remains."""
    means = terms.mean([3])
    return _beyond(terms - means, means.op("Abs") * _ROUNDING)


def _beyond(value: Expression, bound: Expression | float) -> Expression:
    """``value`` where it is larger than ``bound`` in size, else 0."""
    return value.where(value.op("Abs").exceeds(bound), role="")


def _largest(matrix: Expression) -> Expression:
    """The largest entry of each matrix [..., m, m], as [..., 1, 1]."""
    return matrix.op("ReduceMax", [2, 3], keepdims=1)


def _unit(row: Expression) -> Expression:
    """Rows [..., 1, m] at length 1; a zero stays one."""
    return row.over(row.norm([3]))


def _by_place(layer: ChannelRows) -> bool:
    """Whether the matrix is made of the places and not of the channels: the smaller of the two.

    Where the number of places is open, it is that of the channels unless they are many, which they
    are in late layers, with few places.
    """
    channels, count = layer.channels, layer.places
    if not isinstance(channels, int):
        return True
    return channels > (_FEW if count is None else count)


def _places_of(layer: ChannelRows) -> Part:
    return (layer.activations, 3) if layer.places is None else layer.places
