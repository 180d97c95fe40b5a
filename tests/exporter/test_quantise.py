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
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from torch import nn

from graftcam.exporter import (
    CaptureError,
    UnsupportedError,
    VerificationError,
    candidates_of,
    export,
)
from graftcam.exporter.differentiate import registry
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.session.session import Session
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
    path = plain.with_name(f"{plain.stem} {kind} {form.name}.onnx")
    if not path.exists():
        quantize_static(plain, path, _Reader(), quant_format=form, **KINDS[kind])  # type: ignore[arg-type]
    return path


def _similar(found: dict[str, Any], right: dict[str, Any], name: str) -> float:
    """The smallest cosine over images and classes; a class may have no map at all."""
    a, b = (np.concatenate(list(one[name])).astype(np.float64) for one in (found, right))
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.where(norms > 0, norms, 1.0))[norms > 0].min())


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
    assert _similar(found, right, "gradients") > 0.9999  # weights of 255 steps
    assert _similar(found, right, "heatmap") > 0.98


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


class Pooled(nn.Module):
    """A max pool behind the first layer: where numbers differ by little, their codes tie."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.max_pool2d(self.stem(x).relu(), 3, 2)
        return torch.tanh(self.last(y)).mean((2, 3))


def test_codes_that_tie_in_a_max_pool_follow_its_first_choice(tmp_path: Path) -> None:
    source = to_onnx(seeded(Pooled()), tmp_path / "pooled.onnx", (SIZE, SIZE), opset_version=18)
    report = export(
        _quantised(source, "uint8 per tensor"), tmp_path / "m.onnx",
        layers="relu_DequantizeLinear_Output",
    )  # fmt: skip
    assert report.operators["MaxPool"] == 1
    assert report.verdict is not None
    exact = next(one for one in report.verdict.findings if one.check == "gradients")
    assert (exact.level, exact.threshold) == ("disable", 1e-3)
    assert (1.0 if exact.value is None else exact.value) < 1e-6


def test_what_rounding_explains_follows_from_the_scales(tmp_path: Path, plain: Path) -> None:
    bounds: dict[int, float] = {}
    for bits, kind in ((8, QuantType.QUInt8), (16, QuantType.QUInt16)):
        source = tmp_path / f"{bits}.onnx"
        quantize_static(plain, source, _Reader(), activation_type=kind, weight_type=QuantType.QInt8)
        verdict = export(source, tmp_path / "m.onnx").verdict
        assert verdict is not None
        (bounds[bits],) = (
            one.threshold or 0.0
            for one in verdict.findings
            if one.check == "activations" and one.level == "all"
        )
    assert bounds[16] == 1e-3  # what float32 explains by itself
    assert 3e-3 < bounds[8] < 5e-2


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Tiny` with a channel whose numbers, and their mean, are rounded to code 0."""
    model, path = seeded(Tiny()), tmp_path_factory.mktemp("faint") / "float.onnx"
    assert isinstance(model, Tiny)
    assert model.conv2.bias is not None
    with torch.no_grad():
        model.conv2.weight[0] *= 1e-6
        model.conv2.bias[0] = 1e-3
    return to_onnx(model, path, (SIZE, SIZE), opset_version=18)


def test_a_mean_of_numbers_above_0_that_is_rounded_to_code_0_cuts_nothing_off(
    tmp_path: Path, faint: Path
) -> None:
    export(_quantised(faint, "uint8 per tensor"), tmp_path / "q.onnx", extras="head")
    export(faint, tmp_path / "f.onnx", layers="relu_1", verify="off")
    feeds = {"x": noise(2, SIZE, SIZE, 4), "class_index": np.array([[0, 1]])}
    (found, _), (right, _) = _run(tmp_path / "q.onnx", feeds), _run(tmp_path / "f.onnx", feeds)
    assert (found["activations"][:, 0] == 0).all()
    assert (found["gradients"][:, :, 0] != 0).all()
    assert _similar(found, right, "gradients") > 0.9999

    # Nor does it in the head, which does not know where its input comes from.
    (layer,) = Session(tmp_path / "q.onnx", "cpu").spec.layers
    assert layer.head is not None
    given = {name: found[source] for name, source in layer.head.inputs.items()}
    head, _ = _run(tmp_path / "q.head.onnx", {**given, "class_index": found["classes"]})
    np.testing.assert_allclose(head["gradients"], found["gradients"], rtol=1e-5, atol=1e-8)


def test_int8_codes_of_opset_21_load_behind_a_reshape(tmp_path: Path) -> None:
    source = to_onnx(seeded(Tiny()), tmp_path / "new.onnx", (SIZE, SIZE), opset_version=21)
    report = export(_quantised(source, "int8 per channel"), tmp_path / "m.onnx")
    assert report.verification.verdict == "pass"


def test_quantisers_of_onnx_runtimes_own_domain_are_those_of_onnx(
    tmp_path: Path, plain: Path
) -> None:
    source = tmp_path / "own.onnx"
    quantize_static(plain, source, _Reader(), extra_options={"UseQDQContribOps": True})
    assert "com.microsoft" in {node.domain for node in onnx.load(source).graph.node}
    report = export(source, tmp_path / "m.onnx")
    assert report.verification.verdict == "pass"


def test_integer_operators_are_refused(tmp_path: Path, plain: Path) -> None:
    source = _quantised(plain, "uint8 per tensor", QuantFormat.QOperator)
    names = [one.name for one in candidates_of(source)]
    message = r"quantised in QOperator format \(.*1 QGemm.*give the float model"
    with pytest.raises(UnsupportedError, match=message) as caught:
        export(source, tmp_path / "m.onnx", layers=names[-1])
    assert "QGemm 'node_linear_quant'" in "".join(caught.value.obstacles)
    with pytest.raises(GraftcamError, match="quantised in QOperator format"):
        export(source, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_dynamically_quantised_file_is_refused_with_that_word(
    tmp_path: Path, plain: Path
) -> None:
    quantize_dynamic(plain, plain.with_name("dynamic.onnx"), weight_type=QuantType.QUInt8)
    with pytest.raises(UnsupportedError, match=r"dynamically quantised .*give the float model"):
        export(plain.with_name("dynamic.onnx"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_packed_weights_are_refused_with_that_word(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18, "com.microsoft" : 1]>
        main (float[N, 3, 4, 4] x) => (float[N, 2] y)
        <float[16, 3, 1, 1] w, uint8[2, 1, 8] b, float[2] s> {
            a = Conv(x, w)
            m = ReduceMean<keepdims = 0>(a, axes)
            y = com.microsoft.MatMulNBits<K = 16, N = 2, bits = 4, block_size = 16>(m, b, s)
        }""".replace("float[2] s>", "float[2] s, int64[2] axes = {2, 3}>")
    )
    for name, array in (
        ("w", np.ones((16, 3, 1, 1), np.float32)), ("b", np.full((2, 1, 8), 37, np.uint8)),
        ("s", np.ones(2, np.float32)),
    ):  # fmt: skip
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "packed.onnx")
    with pytest.raises(UnsupportedError, match=r"quantised in its weights.*1 MatMulNBits"):
        export(tmp_path / "packed.onnx", tmp_path / "m.onnx", layers="a")


def test_a_file_that_onnx_runtime_cannot_load_is_at_fault_itself(
    tmp_path: Path, plain: Path
) -> None:
    broken = onnx.load(plain)
    # As some quantisers do: a newer opset, and the operators of the older one.
    (mean,) = (node for node in broken.graph.node if node.op_type == "ReduceMean")
    mean.attribute.append(onnx.helper.make_attribute("axes", [2, 3]))
    onnx.save(broken, tmp_path / "broken.onnx")
    with pytest.raises(CaptureError, match=r"broken\.onnx: ReduceMean .*axes.*; export"):
        export(tmp_path / "broken.onnx", tmp_path / "m.onnx", layers="relu_1")
