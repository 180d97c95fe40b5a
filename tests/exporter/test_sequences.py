"""Sequences of a known structure become their tensors; all others stay, and are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graftcam.exporter import UnsupportedError, export
from graftcam.exporter.graph.inline import flatten
from graftcam.exporter.graph.sequences import resolve_sequences
from support.onnx_text import parsed
from support.sessions import run

CONSTANTS = {
    "zero": np.array(0),
    "one": np.array(1),
    "two": np.array(2),
    "last": np.array(-1),
    "sizes": np.array([1, 3]),
    "axes": np.array([2, 3]),
    "w": np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32),
}
SPLIT = "s = SplitToSequence<axis=1{more}>(t{by}) "


def _text(body: str, opset: int = 18) -> str:
    return f"""<ir_version: 8, opset_import: ["" : {opset}]>
    g (float[N, 4, 2, 3] x) => (float[] y) {{ t = Tanh(x) {body} }}"""


def _split(more: str = "", by: str = "") -> str:
    return SPLIT.format(more=more, by=by)


KNOWN = {
    "the places of an axis": _split() + "a = SequenceAt(s, one) b = SequenceAt(s, last) "
    "y = Sub(a, b)",
    "the places of an axis, without it": _split(", keepdims=0") + "a = SequenceAt(s, two) "
    "y = Exp(a)",
    "parts of one size": _split(by=", two") + "a = SequenceAt(s, zero) b = SequenceAt(s, one) "
    "y = Sub(a, b)",
    "parts of several sizes": _split(by=", sizes") + "y = SequenceAt(s, one)",
    "a list that grows and shrinks": "e = SequenceEmpty() a = SequenceInsert(e, t) u = Neg(t) "
    "b = SequenceInsert(a, u, zero) c = SequenceInsert(b, x) d = SequenceErase(c, one) "
    "f = SequenceErase(d) y = SequenceAt(f, zero)",
    "joined along an axis": "u = Exp(t) s = SequenceConstruct(t, u, t) "
    "y = ConcatFromSequence<axis=1>(s)",
    "joined along a new axis": "u = Exp(t) s = SequenceConstruct(t, u) "
    "y = ConcatFromSequence<axis=-1, new_axis=1>(s)",
    "its length": _split() + "n = SequenceLength(s) f = Cast<to=1>(n) y = Mul(t, f)",
    "its last place by its length": _split() + "n = SequenceLength(s) p = Sub(n, one) "
    "a = SequenceAt(s, p) y = Neg(a)",
}


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("body", KNOWN.values(), ids=KNOWN)
def test_a_known_sequence_is_resolved_and_nothing_changes(body: str, opset: int) -> None:
    proto = parsed(_text(body, opset), CONSTANTS)
    x = np.random.default_rng(0).standard_normal((2, 4, 2, 3)).astype(np.float32)
    before = run(proto.SerializeToString(), {"x": x})
    model = flatten(ir.from_proto(proto))
    assert not [node.op_type for node in model.graph if "Sequence" in node.op_type]
    after = run(ir.to_proto(model).SerializeToString(), {"x": x})
    np.testing.assert_array_equal(before["y"], after["y"])
    assert not resolve_sequences(model)


def test_a_copy_of_a_known_sequence_is_known() -> None:
    body = "s = SequenceConstruct(t, x) i = Identity(s) y = SequenceAt(i, one)"
    model = flatten(ir.from_proto(parsed(_text(body), CONSTANTS)))
    assert [node.op_type for node in model.graph] == ["Tanh", "Identity"]


def test_what_reads_a_tensor_of_a_sequence_keeps_its_name() -> None:
    model = flatten(ir.from_proto(parsed(_text(KNOWN["parts of one size"]), CONSTANTS)))
    assert {"a", "b", "y"} <= {value.name for node in model.graph for value in node.outputs}
    assert {"n2", "n3"} <= {node.name for node in model.graph}


PARTS = "v = ReduceMean<keepdims=0>(a, axes) y = MatMul(v, w)"


@pytest.mark.parametrize(
    ("body", "stays"),
    [
        ("m = ReduceMax<keepdims=0>(x) p = Cast<to=7>(m) s = SequenceConstruct(t, x) "
         "a = SequenceAt(s, p) ", "SequenceAt 'n4'"),
        ("s = SplitToSequence<axis=0>(t) a = ConcatFromSequence<axis=0>(s) ",
         "SplitToSequence 'n1'"),
    ],
)  # fmt: skip
def test_a_place_or_a_length_known_at_run_time_only_is_refused_by_name(
    body: str, stays: str, tmp_path: Path
) -> None:
    text = _text(body + PARTS).replace("float[] y", "float[N, 3] y")
    onnx.save(parsed(text, CONSTANTS), tmp_path / "plain.onnx")
    with pytest.raises(UnsupportedError, match="no gradient between") as caught:
        export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers="t")
    assert stays in str(caught.value)


def test_a_model_with_sequences_is_differentiated(tmp_path: Path) -> None:
    body = (
        "s = SplitToSequence<axis=1>(t, two) a = SequenceAt(s, zero) b = SequenceAt(s, one) "
        "p = Mul(a, b) q = SequenceConstruct(p, a) j = ConcatFromSequence<axis=1>(q) "
        "v = ReduceMean<keepdims=0>(j, axes) y = MatMul(v, w)"
    )
    text = _text(body).replace("float[] y", "float[N, 3] y")
    onnx.save(parsed(text, CONSTANTS), tmp_path / "plain.onnx")
    report = export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers="t")
    assert report.verification.verdict == "pass"
    assert report.operators["Split"] == 1
