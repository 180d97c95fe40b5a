"""An evaluation in float64 is believed only where it gives what ONNX Runtime gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from graftcam.exporter import VerificationError, export
from graftcam.exporter.differentiate import registry
from graftcam.exporter.verify.float64 import formulas
from graftcam.exporter.verify.float64.head import Float64Head
from support.sessions import open_session

IMAGE, ROW = (2, 3, 5, 6), (2, 3, 7)
LRN = "LRN<size=3, alpha=2.0, bias=1.5>(L)"
BODIES = {
    "LpPool, padded": ("LpPool<kernel_shape=[2, 2], strides=[2, 3], auto_pad='SAME_LOWER'>(L)",
                       IMAGE),
    "LpPool, p = 1": ("LpPool<kernel_shape=[1, 2], p=1>(L)", IMAGE),
    "LpPool, p = 3": ("LpPool<kernel_shape=[2], p=3, strides=[2]>(L)", ROW),
    "MaxPool of rows": ("MaxPool<kernel_shape=[2], auto_pad='SAME_LOWER'>(L)", ROW),
    "MaxPool, dilated": ("MaxPool<kernel_shape=[1, 2], strides=[2, 3], dilations=[1, 2], "
                         "auto_pad='SAME_LOWER'>(L)", IMAGE),
    "GlobalMaxPool of rows": ("GlobalMaxPool(L)", ROW),
    "GlobalLpPool": ("GlobalLpPool(L)", IMAGE),
    "GlobalLpPool, p = 1": ("GlobalLpPool<p=1>(L)", IMAGE),
    "LpNormalization, p = 1": ("LpNormalization<axis=1, p=1>(L)", IMAGE),
    "LRN": (LRN, IMAGE),
    "InstanceNormalization": ("InstanceNormalization(L, c, c)", IMAGE),
    "MeanVarianceNormalization": ("MeanVarianceNormalization(L)", IMAGE),
    "Erf": ("Erf(L)", ROW),
    "Gelu": ("Gelu(L)", ROW),
    "Gelu by tanh": ("Gelu<approximate='tanh'>(L)", ROW),
    "Resize": ("Resize<mode='linear'>(L, , s)", IMAGE),
    "Resize of a crop": ("Resize<mode='linear', "
                         "coordinate_transformation_mode='tf_crop_and_resize'>(L, r, s)", IMAGE),
    "Resize to one cell": ("Resize<mode='linear', "
                           "coordinate_transformation_mode='pytorch_half_pixel'>(L, , t)", IMAGE),
}  # fmt: skip


def _proto(body: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    body = body.replace("'", '"')
    return onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 20]> g (float{[*shape]} x) => (float[A, B] y) '
        "<float[3] c = {1.0, 0.5, -2.0}, float[4] s = {1.0, 1.0, 1.5, 0.6}, "
        "float[4] t = {1.0, 1.0, 0.2, 1.5}, "
        "float[8] r = {0.0, 0.0, 0.1, 0.2, 1.0, 1.0, 0.8, 0.9}> "
        f"{{ L = Identity(x) v = {body} y = Flatten(v) }}"
    )


def _values(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers apart from each other and from 0, in float32."""
    count = int(np.prod(shape))
    places = np.random.default_rng(0).permutation(count) + 0.5
    return (places / count * 4 - 2).reshape(shape).astype(np.float32)


@pytest.mark.parametrize(("body", "shape"), BODIES.values(), ids=BODIES)
def test_a_node_in_float64_is_what_onnx_runtime_computes(
    body: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    proto, x = _proto(body, shape), _values(shape)
    session = open_session(proto.SerializeToString())
    head = Float64Head(ir.from_proto(proto), "L", "y", {"x": x}, tmp_path)
    start = x.astype(np.float64)
    np.testing.assert_allclose(head(start), session.run(None, {"x": x})[0], rtol=2e-5, atol=1e-6)
    assert head.in_float32 == []
    move = np.random.default_rng(1).standard_normal(shape)

    def slope(evaluate: Any, step: float) -> np.ndarray:
        return (evaluate(start + step * move) - evaluate(start - step * move)) / (2 * step)

    fine, close = slope(head, 1e-4), slope(head, 1e-7)
    np.testing.assert_allclose(close, fine, rtol=1e-5, atol=1e-5)  # float32 would show noise of 1
    coarse = slope(lambda v: session.run(None, {"x": v.astype(np.float32)})[0].astype(float), 2e-3)
    np.testing.assert_allclose(fine, coarse, rtol=1e-2, atol=5e-3)


def _wrong(attributes: Any, x: np.ndarray) -> np.ndarray:
    return x


def _without_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """LRN has only the ONNX reference evaluator left, which counts channels by the batch."""
    monkeypatch.setattr(
        "graftcam.exporter.verify.float64.nodes.FORMULAS", {**formulas.FORMULAS, "LRN": _wrong}
    )


def test_what_evaluates_otherwise_is_not_believed_and_the_finding_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _without_formula(monkeypatch)
    onnx.save(_proto(LRN, IMAGE), tmp_path / "m.onnx")
    report = export(tmp_path / "m.onnx", tmp_path / "a.onnx", layers="L")
    assert report.verification.verdict == "pass"
    remark = (
        "gradients: LRN is differenced in float32, since the ONNX reference evaluator gives other "
        "values than ONNX Runtime"
    )
    assert report.verdict is not None
    assert remark in report.verdict.remarks
    assert report.verification.errors["gradients"] < 1e-3


def test_differences_in_float32_show_a_wrong_rule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _without_formula(monkeypatch)
    entry = registry.table()["LRN"]

    def wrong(*arguments: Any) -> Any:
        return [result * 1.02 for result in entry.rule(*arguments)]  # type: ignore[misc]

    monkeypatch.setitem(registry._TABLE, "LRN", replace(entry, rule=wrong))
    onnx.save(_proto(LRN, IMAGE), tmp_path / "m.onnx")
    with pytest.raises(VerificationError, match=r"error .* \(bound 1e-03\); LRN is differenced"):
        export(tmp_path / "m.onnx", tmp_path / "a.onnx", layers="L")


def test_a_steep_function_is_believed_though_float32_rounds_its_argument(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (float[2, 3, 7] x) => (float[2, 21] y) '
        "<float k = {100000.0}> { L = Identity(x) b = Mul(L, k) v = Sin(b) y = Flatten(v) }"
    )
    x = _values(ROW)
    head = Float64Head(ir.from_proto(proto), "L", "y", {"x": x}, tmp_path)
    near = x.astype(np.float64) + 1e-8  # which float32 does not represent
    np.testing.assert_allclose(head(near), np.sin(1e5 * near).reshape(2, 21), atol=1e-9)
    assert head.in_float32 == []
