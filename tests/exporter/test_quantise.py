"""Quantised files: the same predictions, the same integer kernels, straight-through gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from graftcam.exporter import UnsupportedError, VerificationError, candidates_of, export
from graftcam.exporter.differentiate import registry
from support.exports import to_onnx
from support.images import noise
from support.nets import Tiny, seeded

SIZE = 24
KINDS = {
    "uint8 per tensor": {"activation_type": QuantType.QUInt8},
    "int8 per channel": {"activation_type": QuantType.QInt8, "per_channel": True},
}


class _Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left: Iterator[np.ndarray] = iter(noise(16, SIZE, SIZE, 0))

    def get_next(self) -> dict[str, np.ndarray]:
        image = next(self.left, None)
        return {} if image is None else {"x": image[None]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Tiny` as a float32 file."""
    path = tmp_path_factory.mktemp("quantise") / "float.onnx"
    return to_onnx(seeded(Tiny()), path, (SIZE, SIZE), opset_version=18)


def _quantised(plain: Path, kind: str, form: QuantFormat = QuantFormat.QDQ) -> Path:
    path = plain.parent / f"{kind} {form.name}.onnx"
    if not path.exists():
        quantize_static(plain, path, _Reader(), quant_format=form, **KINDS[kind])  # type: ignore[arg-type]
    return path


def _run(path: Path, feeds: dict[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """Outputs, and the operators that ONNX Runtime makes of the file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".optimised.onnx"))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    nodes = onnx.load(options.optimized_model_filepath).graph.node
    return found, Counter(node.op_type for node in nodes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantised_file_predicts_as_before_and_explains_as_its_float_model(
    tmp_path: Path, plain: Path, kind: str
) -> None:
    source, path = _quantised(plain, kind), tmp_path / "m.onnx"
    report = export(source, path)
    (layer,) = report.layers
    assert layer == "relu_1_DequantizeLinear_Output"
    verdict = report.verification
    assert verdict.reference == "finite-differences-straight-through"
    assert verdict.errors["gradients"] < 1e-4
    feeds = {"x": noise(4, SIZE, SIZE, 1)}
    before, kernels = _run(source, feeds)
    found, now = _run(path, {**feeds, "class_index": np.array([[-1, 0]])})
    np.testing.assert_array_equal(found["linear"], before["linear"])
    assert now["QLinearConv"] > 0
    if kind.startswith("uint8"):  # int8 activations ONNX Runtime makes unsigned, if nobody looks
        assert now["QLinearConv"] == kernels["QLinearConv"]

    export(plain, tmp_path / "f.onnx", layers="relu_1", verify="off")
    right, _ = _run(tmp_path / "f.onnx", {**feeds, "class_index": found["classes"]})
    for name in ("gradients", "heatmap"):
        a, b = (one[name].reshape(4 * 2, -1).astype(np.float64) for one in (found, right))
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        # 255 steps; a class may have no map at all.
        assert ((a * b).sum(axis=1) >= 0.98 * norms).all(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [0, 3])
def test_a_layer_before_several_quantisers_is_explained(
    tmp_path: Path, plain: Path, kind: str, classes: int
) -> None:
    report = export(_quantised(plain, kind), tmp_path / "m.onnx", layers="relu")
    assert report.operators["QuantizeLinear"] >= 2
    index = np.arange(classes, dtype=np.int64)[None]
    found, _ = _run(tmp_path / "m.onnx", {"x": noise(2, SIZE, SIZE, 2), "class_index": index})
    assert found["gradients"].shape == (2, classes, 8, SIZE, SIZE)
    assert all(gradient.any() for gradient in found["gradients"][0])


def test_the_score_is_the_number_before_its_code(tmp_path: Path, plain: Path) -> None:
    source = _quantised(plain, "uint8 per tensor")
    report = export(source, tmp_path / "m.onnx", verify="off")
    made = {node.output[0]: node for node in onnx.load(source).graph.node}
    assert made[report.spec.score.value].op_type == "Gemm"
    assert made[report.spec.score.output].op_type == "DequantizeLinear"
    report = export(source, tmp_path / "m.onnx", score="output", verify="off")
    assert report.spec.score.value == report.spec.score.output


def test_dequantised_weights_are_no_layers(plain: Path) -> None:
    found = candidates_of(_quantised(plain, "int8 per channel"))
    reasons = {one.name: one.reason for one in found if not one.usable}
    assert "DequantizeLinear computes no features of its own" in reasons.values()


def test_a_wrong_mask_fails_verification(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = registry.table()["QuantizeLinear"]
    rule: Any = entry.rule

    def unmasked(emit: Any, node: Any, grad: Any, needed: Any) -> Any:
        (masked,) = rule(emit, node, grad, needed)
        return [replace(grad, factor=masked.factor)]

    table = registry._TABLE  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setitem(table, "QuantizeLinear", replace(entry, rule=unmasked))
    with pytest.raises(VerificationError, match="gradients: error"):
        export(_quantised(plain, "uint8 per tensor"), tmp_path / "m.onnx", layers="relu")
    assert list(tmp_path.iterdir()) == []


def test_integer_operators_are_refused(tmp_path: Path, plain: Path) -> None:
    source = _quantised(plain, "uint8 per tensor", QuantFormat.QOperator)
    names = [one.name for one in candidates_of(source)]
    with pytest.raises(UnsupportedError, match="QGemm 'node_linear_quant'"):
        export(source, tmp_path / "m.onnx", layers=names[-1])
