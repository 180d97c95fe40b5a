"""ONNX files from older exporters: TorchScript's, opsets below 18, shapes computed in the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from torch import nn

from graftcam.exporter import CaptureError, candidates_of, export
from graftcam.exporter.capture.onnx_file import capture_file
from graftcam.exporter.graph.upgrade_opset import converted
from support.nets import Flat, Tiny, Tokens, seeded
from support.sessions import run
from support.torchscript import scripted, vision_transformer


@pytest.mark.parametrize("opset", [11, 13, 16, 17])
@pytest.mark.parametrize("kind", [Tiny, Flat])
def test_files_of_the_torchscript_exporter(
    tmp_path: Path, kind: type[nn.Module], opset: int
) -> None:
    model = seeded(kind())
    plain = scripted(model, tmp_path / "plain.onnx", opset)
    report = export(plain, tmp_path / "m.onnx")
    assert report.notes == [f"converted from opset {opset} to 18"]
    assert report.verification.reference == "finite-differences"
    scope = "/conv2" if kind is Tiny else "/body/body.0"
    again = export(plain, tmp_path / "again.onnx", layers=scope)
    assert [x.name for x in again.spec.layers] == [scope]
    assert again.operators.keys() == report.operators.keys() | {"Relu"}


@pytest.mark.parametrize("opset", [16, 17])
def test_a_transformer_that_computes_its_shapes(tmp_path: Path, opset: int) -> None:
    plain = scripted(seeded(vision_transformer()), tmp_path / "vit.onnx", opset, (32, 32))
    report = export(plain, tmp_path / "m.onnx")
    (layer,) = report.spec.layers
    assert (layer.layout, layer.grid, layer.prefix_tokens) == ("tokens", [4, 4], 1)
    # Opset 17 has LayerNormalization; before, the last layer of the trunk is the sum before it.
    last = {16: "encoder_layer_0/Add_1_output_0", 17: "encoder_layer_1/ln_1/LayerNormalization"}
    assert last[opset] in layer.value
    reasons = {c.name: c.reason for c in report.candidates}
    after = next(name for name in reasons if "encoder_layer_1/Add_output_0" in name)
    assert reasons[after] == "the score's gradient is zero at every place"


def test_two_runs_settle_shapes_and_numbers_computed_from_them(tmp_path: Path) -> None:
    plain = scripted(seeded(Tokens()), tmp_path / "tokens.onnx", 17, (12, 8))
    captured = capture_file(plain, [])
    values = {v.name: v for node in captured.model.graph for v in node.outputs}
    tokens = [v for v in values.values() if v.shape is not None and list(v.shape)[1:] == [7, 8]]
    assert len(tokens) > 4
    assert {str(v.shape[0]) for v in tokens} == {"batch"}
    assert [c.name for c in candidates_of(plain) if c.usable]


RESIZED = {
    "Upsample, 9": (9, "Upsample<mode='nearest'>(x, s)", "2, 3"),
    "Upsample linear, 9": (9, "Upsample<mode='linear'>(x, s)", "2, 2"),
    "Upsample linear, 7": (7, "Upsample<mode='linear', scales=[1.0, 1.0, 2.0, 2.0]>(x)", "2, 2"),
    "Resize up by a fraction, 10": (10, "Resize<mode='nearest'>(x, s)", "1.7, 1.3"),
    "Resize down by a fraction, 10": (10, "Resize<mode='nearest'>(x, s)", "0.6, 0.7"),
    "Resize linear, 10": (10, "Resize<mode='linear'>(x, s)", "1.7, 0.6"),
    "Resize linear, 11": (11, "Resize<mode='linear'>(x, e, s)", "1.5, 2"),
}
OTHERS = {
    "Pad, 2": (9, "Pad<pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5>(x)"),
    "Softmax over all that follows, 11": (11, "Softmax<axis=1>(x)"),
    "Softmax over the last axis, 11": (11, "Softmax<axis=3>(x)"),
    "Hardmax over all that follows, 12": (12, "Hardmax<axis=1>(x)"),
    "Hardmax by default, 11": (11, "Hardmax(x)"),
    "Hardmax along the last axis, 12": (12, "Hardmax<axis=-1>(x)"),
    "Hardmax, 14": (14, "Hardmax<axis=1>(x)"),
    "LogSoftmax, 9": (9, "LogSoftmax<axis=2>(x)"),
    "ReduceSum, 11": (11, "ReduceSum<axes=[3]>(x)"),
    "ReduceMean, 13": (13, "ReduceMean<axes=[-1]>(x)"),
    "ReduceL2, 13": (13, "ReduceL2<axes=[1]>(x)"),
    "BatchNormalization, 7": (7, "BatchNormalization(x, w, w, w, w)"),
    "Dropout, 7": (7, "Dropout<ratio=0.3>(x)"),
    "Dropout, 10": (10, "Dropout<ratio=0.3>(x)"),
    "Clip, 6": (7, "Clip<min=-0.5, max=0.6>(x)"),
    "Slice, 1": (9, "Slice<axes=[2], starts=[1], ends=[3]>(x)"),
    "AveragePool, 10": (10, "AveragePool<kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1>(x)"),
}
CONVERTED = {
    **{name: (opset, node, f"float[4] s = {{1, 1, {s}}}, float[0] e = {{}}")
       for name, (opset, node, s) in RESIZED.items()},
    **{name: (opset, node, "float[4] w = {1, 0.5, 2, 3}")
       for name, (opset, node) in OTHERS.items()},
}  # fmt: skip


def parsed(opset: int, body: str, constants: str) -> onnx.ModelProto:
    body = body.replace("'", '"')
    proto = onnx.parser.parse_model(
        f'<ir_version: 7, opset_import: ["": {opset}]> g (float[N, 4, 6, 8] x) => (float[N, C] y) '
        f"<{constants}> {{ {body} }}"
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto


def results(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return next(iter(run(proto.SerializeToString(), {"x": x}).values()))


@pytest.mark.parametrize(("opset", "node", "constants"), CONVERTED.values(), ids=CONVERTED)
def test_conversion_to_opset_18_keeps_what_an_operator_meant(
    opset: int, node: str, constants: str
) -> None:
    proto = parsed(opset, f"y = {node}", constants)
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 8)).astype(np.float32)
    made = ir.to_proto(converted(ir.from_proto(proto), opset, "file"))
    np.testing.assert_allclose(results(made, x), results(proto, x), rtol=1e-5, atol=1e-6)


def test_a_converted_graph_is_differentiated_as_what_it_meant(tmp_path: Path) -> None:
    """One chain of operators whose form or meaning has changed since opset 9."""
    body = """
        a = Tanh(x)
        b = Upsample<mode='linear'>(a, s)
        c = Pad<pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5>(b)
        d = Dropout<ratio=0.3>(c)
        e = BatchNormalization(d, w, w, w, w)
        f = Clip<min=-2.0, max=2.5>(e)
        h = Softmax<axis=1>(f)
        i = ReduceSum<axes=[2, 3], keepdims=1>(h)
        y = Squeeze<axes=[2, 3]>(i)
    """
    proto = parsed(9, body, "float[4] w = {1, 0.5, 2, 3}, float[4] s = {1, 1, 2, 2}")
    onnx.save(proto, tmp_path / "old.onnx")
    report = export(tmp_path / "old.onnx", tmp_path / "m.onnx", layers="a")
    assert max(report.verification.errors.values()) < 1e-5


def test_what_the_converter_cannot_do_is_one_clear_line(tmp_path: Path) -> None:
    proto = parsed(6, "y = Add<broadcast=1, axis=1>(x, w)", "float[4] w = {1, 0.5, 2, 3}")
    onnx.save(proto, tmp_path / "old.onnx")
    message = r"old\.onnx uses opset 6 and cannot be converted to 18: .*; export it with opset 18"
    with pytest.raises(CaptureError, match=message) as caught:
        export(tmp_path / "old.onnx", tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_an_old_hardmax_has_one_winner_in_all_that_follows_its_axis(tmp_path: Path) -> None:
    body = "a = Tanh(x) h = Hardmax<axis=1>(a) t = Mul(h, a) y = Flatten(t)"
    onnx.save(parsed(12, body, "float[1] w = {1}"), tmp_path / "old.onnx")
    report = export(tmp_path / "old.onnx", tmp_path / "m.onnx", layers="a")
    assert max(report.verification.errors.values()) < 1e-5
