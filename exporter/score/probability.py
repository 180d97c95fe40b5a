"""This module scores by probabilities and their logarithms, with cotangents in closed form.

With ``p = softmax(z)`` the gradient of ``log p[c]`` is ``1 - p[c]`` at c and ``-p[j]`` elsewhere,
and that of ``p[c]`` is ``p[c]`` times as much. A sigmoid's has its entry at c alone. ``1 - p[c]``
is not subtracted but added up from the other classes: where the model is sure, PyTorch's own
float32 autograd gives zeros, and this still gives the gradient. All of it is float32 for every type
of the model.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...runtime.spec import ScoreRecord
from ..differentiate.cotangent import Cotangent
from ..differentiate.support.values import static_extent, where
from ..graph.emitter import Emitter, dims_of
from ..graph.precision import SINGLE
from .seed import with_opposite


class Probabilities:
    """What an activation makes of logits, as nodes.

    Args:
        emit: Where nodes are added.
        logits: [N, classes, *positions]; [N, 1, *positions] for a single logit.
        score: What is scored: a ``probability`` or ``log_probability`` by ``softmax`` over the
            classes or ``sigmoid``. Of a single logit class 1 has the logit, class 0 its negative.

    Attributes:
        logits: float [N, classes, *positions], those of both classes of a single logit.
        table: The scores in the same shape.
    """

    def __init__(self, emit: Emitter, logits: ir.Value, score: ScoreRecord) -> None:
        self._emit, self._source, self._log = emit, logits, score.kind == "log_probability"
        self._softmax, self._single = score.activation == "softmax", score.single_logit
        with emit.scope("probability"):
            dims = dims_of(logits)
            wide = logits if logits.dtype == ir.DataType.DOUBLE else emit.cast(logits, SINGLE)
            if self._single:
                dims = [dims[0], 2, *dims[2:]]
                wide = with_opposite(emit, wide)
                wide.shape = ir.Shape(dims)
            self.logits = wide
            self.table = self._scores()
            self.table.shape = ir.Shape(dims)

    def _scores(self) -> ir.Value:
        emit, x = self._emit, self.logits
        if self._softmax:
            return emit.op("LogSoftmax" if self._log else "Softmax", x, role="table", axis=1)
        if self._log:
            return _log_sigmoid(emit, x)
        return _sigmoid(emit, emit.op("Neg", x, role="against"))

    def pull_back(self, seed: Cotangent) -> Cotangent:
        """The cotangent of the logits that the model gives, from the one-hot one of the table."""
        emit, source = self._emit, self._source
        rank = len(dims_of(source))
        with emit.scope("probability"):
            hits = seed.hits(static_extent(self.logits, 1))
            slope = self._softmax_slope(hits) if self._softmax else self._sigmoid_slope(hits)
            chosen = seed.factor if seed.tensor is None else seed.tensor
            slope = emit.op("Mul", slope, chosen, role="seed")
            if self._single:
                signs = np.array([-1.0, 1.0]).reshape(2, *[1] * (rank - 2))
                signed = emit.op("Mul", slope, emit.constant(signs, slope.dtype), role="seed")
                slope = emit.op("ReduceSum", signed, [2], role="seed", keepdims=1)
            return Cotangent(emit, source, emit.cast(slope, source.dtype, "seed"))

    def _softmax_slope(self, hits: ir.Value) -> ir.Value:
        """``1 - p[c]`` at c, ``-p[j]`` elsewhere, times ``p[c]``: [K, N, classes, *positions]."""
        emit = self._emit
        p = emit.op("Softmax", self.logits, role="table", axis=1)
        others = emit.op("Where", hits, 0.0, p, role="others")
        rest = emit.op("ReduceSum", others, [2], role="rest", keepdims=1)
        slope = emit.op("Sub", where(emit, hits, rest), others, role="slope")
        if self._log:
            return slope
        chosen = emit.op("ReduceSum", where(emit, hits, p), [2], role="own", keepdims=1)
        return emit.op("Mul", slope, chosen, role="slope")

    def _sigmoid_slope(self, hits: ir.Value) -> ir.Value:
        """``1 - p[c]`` at c, times ``p[c]``: [K, N, classes, *positions]."""
        emit = self._emit
        slope = _sigmoid(emit, self.logits)
        if not self._log:
            own = _sigmoid(emit, emit.op("Neg", self.logits, role="against"))
            slope = emit.op("Mul", slope, own, role="slope")
        return where(emit, hits, slope)


def _sigmoid(emit: Emitter, against: ir.Value) -> ir.Value:
    """``1 / (1 + exp(against))``, the sigmoid of ``-against``.

    ONNX Runtime's own Sigmoid is a rational approximation that ends at 18, and loses the digits of
    small probabilities; exp does not. Where it overflows, the reciprocal is 0, as it should be.
    """
    powers = emit.op("Add", emit.op("Exp", against, role="odds"), 1.0, role="odds")
    return emit.op("Reciprocal", powers, role="share")


def _log_sigmoid(emit: Emitter, x: ir.Value) -> ir.Value:
    """``-(relu(-x) + log(1 + u))`` with ``u = exp(-|x|)``.

    ``log(1 + u)`` as ``log(w) u / (w - 1)`` with ``w`` the rounded ``1 + u`` (Kahan's trick), and
    as ``u`` where ``w`` is 1: no digit of a small u is lost.
    """
    u = emit.op("Exp", emit.op("Neg", emit.op("Abs", x), role="far"), role="odds")
    w = emit.op("Add", 1.0, u, role="sum")
    step = emit.op("Sub", w, 1.0, role="step")
    none = emit.op("Equal", step, 0.0, role="none")
    safe = emit.op("Where", none, 1.0, step, role="step")
    whole = emit.op("Div", emit.op("Mul", emit.op("Log", w), u), safe, role="log")
    log = emit.op("Where", none, u, whole, role="log")
    above = emit.op("Relu", emit.op("Neg", x, role="against"), role="above")
    return emit.op("Neg", emit.op("Add", above, log, role="against"), role="table")
