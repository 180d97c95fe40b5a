"""Vector-Jacobian products of ONNX operators, one file a family.

A rule gets the cotangent of the node's output, ``[K, *output]``, and returns one cotangent (or
None) an input. It never sums over broadcast axes, never adds up and never names a node: the walker
in `differentiate` and the emitter do.
"""

from ..registry import Entry, is_code, lookup, table
from . import (  # noqa: F401 - importing a family registers its rules
    activation,
    affine,
    assemble,
    attention,
    conv,
    deform,
    determinant,
    einsum,
    elementwise,
    generate,
    gridsample,
    indexing,
    linear,
    losses,
    lstm,
    norms,
    pad,
    pool,
    quantise,
    rearrange,
    recurrent,
    reduce,
    resample,
    reshape,
    roi,
    rotary,
    scatter,
    selfgated,
    spectral,
    without_gradient,
)

__all__ = ["Entry", "is_code", "lookup", "table"]
