"""This module scores by probabilities and their logarithms, with cotangents in closed form.

With ``p = softmax(z)`` the gradient of ``log p[c]`` is ``1 - p[c]`` at c and ``-p[j]`` elsewhere,
and that of ``p[c]`` is ``p[c]`` times as much. A sigmoid's has its entry at c alone. ``1 - p[c]``
is not subtracted but added up from the other classes: where the model is sure, PyTorch's own
float32 autograd gives zeros, and this still gives the gradient. All of it is float32 for every type
of the model.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..differentiate.support.values import where
from ..graph.emitter import Emitter, dims_of
from ..graph.precision import SINGLE
from .seed import with_opposite

Kind = Literal["probability", "log_probability"]
_BOOL = ir.DataType.BOOL


class Probabilities:
    """What an activation makes of logits, as nodes.

    Args:
        emit: Where nodes are added.
        logits: [N, classes, *positions]; [N, 1, *positions] for a single logit.
        kind: ``probability`` or ``log_probability``.
        activation: ``softmax`` over the classes, or ``sigmoid``.
        single_logit: Class 1 has the logit, class 0 its negative.

    Attributes:
        logits: float [N, classes, *positions], those of both classes of a single logit.
        table: The scores in the same shape.
    """

    def __init__(
        self, emit: Emitter, logits: ir.Value, kind: Kind, activation: str, *, single_logit: bool
    ) -> None:
        self._emit, self._source, self._kind = emit, logits, kind
        self._softmax, self._single = activation == "softmax", single_logit
        with emit.scope("probability"):
            dims = dims_of(logits)
            wide = logits if logits.dtype == ir.DataType.DOUBLE else emit.cast(logits, SINGLE)
            if single_logit:
                dims = [dims[0], 2, *dims[2:]]
                wide = with_opposite(emit, wide)
                wide.shape = ir.Shape(dims)
            self.logits = wide
            self.table = self._scores()
            self.table.shape = ir.Shape(dims)

    def _scores(self) -> ir.Value:
        emit, x = self._emit, self.logits
        if self._softmax:
            operator = "Softmax" if self._kind == "probability" else "LogSoftmax"
            return emit.op(operator, x, role="table", axis=1)
        if self._kind == "probability":
            return _sigmoid(emit, emit.op("Neg", x, role="against"))
        return _log_sigmoid(emit, x)

    def pull_back(self, seed: Cotangent) -> Cotangent:
        """The cotangent of the logits that the model gives, from the one-hot one of the table."""
        emit, source = self._emit, self._source
        rank = len(dims_of(source))
        with emit.scope("probability"):
            index = emit.op("Unsqueeze", seed.one_hot, range(2, 1 + rank), role="selected")
            count = dims_of(self.logits)[1]
            assert isinstance(count, int)
            places = emit.constant(np.arange(count).reshape(-1, *[1] * (rank - 2)))
            hits = emit.op("Equal", index, places, role="hits")
            slope = self._softmax_slope(hits) if self._softmax else self._sigmoid_slope(hits)
            chosen = emit.scalar(seed.factor, slope) if seed.tensor is None else seed.tensor
            slope = emit.op("Mul", slope, chosen, role="seed")
            if self._single:
                signs = np.array([-1.0, 1.0]).reshape(2, *[1] * (rank - 2))
                signed = emit.op("Mul", slope, emit.constant(signs, slope.dtype), role="seed")
                slope = emit.op("ReduceSum", signed, [2], role="seed", keepdims=1)
            assert source.dtype is not None
            return Cotangent(emit, source, emit.cast(slope, source.dtype, "seed"))

    def _softmax_slope(self, hits: ir.Value) -> ir.Value:
        """``1 - p[c]`` at c, ``-p[j]`` elsewhere, times ``p[c]``: [K, N, classes, *positions]."""
        emit = self._emit
        p = emit.op("Softmax", self.logits, role="table", axis=1)
        others = emit.op(
            "Where", hits, 0.0, p, role="others"
        )  # fmt: skip
        rest = emit.op("ReduceSum", others, [2], role="rest", keepdims=1)
        slope = emit.op("Sub", where(emit, hits, rest), others, role="slope")
        if self._kind == "log_probability":
            return slope
        chosen = emit.op("ReduceSum", where(emit, hits, p), [2], role="own", keepdims=1)
        return emit.op("Mul", slope, chosen, role="slope")

    def _sigmoid_slope(self, hits: ir.Value) -> ir.Value:
        """``1 - p[c]`` at c, times ``p[c]``: [K, N, classes, *positions]."""
        emit = self._emit
        slope = _sigmoid(emit, self.logits)
        if self._kind == "probability":
            own = _sigmoid(emit, emit.op("Neg", self.logits, role="against"))
            slope = emit.op("Mul", slope, own, role="slope")
        return where(emit, hits, slope)


def _sigmoid(emit: Emitter, against: ir.Value) -> ir.Value:
    """``1 / (1 + exp(against))``, the sigmoid of ``-against``.

    ONNX Runtime's own Sigmoid is a rational approximation that ends at 18, and loses the digits of
    small probabilities; exp does not. Where it overflows, the reciprocal is 0, as it should be.
    """
    one = emit.scalar(1.0, against)
    powers = emit.op("Add", emit.op("Exp", against, role="odds"), one, role="odds")
    return emit.op("Reciprocal", powers, role="share")


def _log_sigmoid(emit: Emitter, x: ir.Value) -> ir.Value:
    """``-(relu(-x) + log(1 + u))`` with ``u = exp(-|x|)``.

    ``log(1 + u)`` as ``log(w) u / (w - 1)`` with ``w`` the rounded ``1 + u`` (Kahan's trick), and
    as ``u`` where ``w`` is 1: no digit of a small u is lost.
    """
    one, zero = emit.scalar(1.0, x), emit.scalar(0.0, x)
    u = emit.op("Exp", emit.op("Neg", emit.op("Abs", x), role="far"), role="odds")
    w = emit.op("Add", one, u, role="sum")
    step = emit.op("Sub", w, one, role="step")
    none = emit.op("Equal", step, zero, role="none")
    safe = emit.op("Where", none, one, step, role="step")
    whole = emit.op("Div", emit.op("Mul", emit.op("Log", w), u), safe, role="log")
    log = emit.op("Where", none, u, whole, role="log")
    above = emit.op("Relu", emit.op("Neg", x, role="against"), role="above")
    return emit.op("Neg", emit.op("Add", above, log, role="against"), role="table")
