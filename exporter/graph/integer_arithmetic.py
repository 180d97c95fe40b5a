"""This module names the kinds of quantisation whose operators have integers inside.

Integers have no derivative. In QDQ format the operators stay those of floats, and the quantisers
around them carry the gradient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

_DYNAMIC = frozenset({"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}) | frozenset(
    {"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLSTM"}
)
_PACKED = frozenset({"MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized"})
_NAMED = frozenset({"QGemm", "QAttention", "QOrderedMatMul", "QMoE", "QEmbedLayerNormalization"})
_OWN = ("", "ai.onnx", "com.microsoft")
_FLOAT_MODEL = "give the float model that it was made of"
_QDQ = "or quantise that one in QDQ format (onnxruntime.quantization.quantize_static)"


@dataclass(frozen=True)
class Kind:
    """A kind of quantisation.

    Attributes:
        word: What a model of this kind is.
        reason: Why it has no gradient.
        remedy: What the user can do.
    """

    word: str
    reason: str
    remedy: str


DYNAMIC = Kind(
    "dynamically quantised",
    "integers whose range is chosen at run time have no derivative",
    f"{_FLOAT_MODEL}, {_QDQ}",
)
QOPERATOR = Kind(
    "quantised in QOperator format",
    "rounded integers have no derivative",
    f"{_FLOAT_MODEL}, {_QDQ}",
)
PACKED = Kind(
    "quantised in its weights, which its operators unpack",
    "there is no gradient rule for packed weights",
    _FLOAT_MODEL,
)


def kind_of(node: ir.Node) -> Kind | None:
    """The kind of quantisation that an operator with integers inside belongs to, if any."""
    if node.domain not in _OWN:
        return None
    if node.op_type in _DYNAMIC:
        return DYNAMIC
    if node.op_type in _PACKED:
        return PACKED
    return QOPERATOR if node.op_type.startswith("QLinear") or node.op_type in _NAMED else None


def describe(nodes: Iterable[ir.Node], place: str) -> str | None:
    """What a model is, whose nodes have integers inside, why that has no gradient, what helps.

    Args:
        nodes: The nodes to consider; most of them decide about the word.
        place: Where they are, behind their names and numbers.

    Returns:
        None where no node has integers inside.
    """
    found = [(node, kind) for node in nodes if (kind := kind_of(node)) is not None]
    if not found:
        return None
    ((kind, _),) = Counter(kind for _, kind in found).most_common(1)
    counts = Counter(node.op_type for node, one in found if one == kind)
    operators = ", ".join(f"{count} {op_type}" for op_type, count in counts.most_common())
    return f"the model is {kind.word} ({operators}{place}): {kind.reason}; {kind.remedy}"
