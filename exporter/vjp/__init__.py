"""Vector-Jacobian products of ONNX operators, one file a family.

A rule gets the cotangent of the node's output, ``[K, *output]``, and returns one cotangent (or
None) an input. It never sums over broadcast axes, never adds up and never names a node: the walker
in `differentiate` and the emitter do.
"""

# Importing a family registers its rules.
from . import (
    activation,
    affine,
    assemble,
    attention,
    conv,
    deform,
    einsum,
    elementwise,
    functions,
    generate,
    gridsample,
    indexing,
    linear,
    lp_pool,
    lstm,
    normalise,
    norms,
    pool,
    rearrange,
    recurrent,
    reduce,
    reductions,
    refusals,
    resample,
    reshape,
    roi,
    scatter,
    zeros,
)
from .registry import Entry, lookup, table

__all__ = [
    "Entry",
    "activation",
    "affine",
    "assemble",
    "attention",
    "conv",
    "deform",
    "einsum",
    "elementwise",
    "functions",
    "generate",
    "gridsample",
    "indexing",
    "linear",
    "lookup",
    "lp_pool",
    "lstm",
    "normalise",
    "norms",
    "pool",
    "rearrange",
    "recurrent",
    "reduce",
    "reductions",
    "refusals",
    "resample",
    "reshape",
    "roi",
    "scatter",
    "table",
    "zeros",
]
