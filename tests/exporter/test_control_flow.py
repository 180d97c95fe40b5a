"""Whole exports of ONNX files with branches, loops and sequences, on and off the path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from graftcam.exporter import UnsupportedError, export
from support.onnx_text import parsed

RNG = np.random.default_rng(0)
CONSTANTS = {
    "k": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "w": RNG.standard_normal((4, 6)).astype(np.float32),
    "scale": np.linspace(0.5, 2, 4, dtype=np.float32),
    "zero": np.array(0),
    "three": np.array(3),
    "one": np.array(1),
    "trips": np.array(2),
    "yes": np.array(True),
}
STEM = "t = Conv<pads=[1, 1, 1, 1]>(x, k) "
POOL = "p = GlobalAveragePool({}) f = Flatten(p) y = MatMul(f, w)"


def _saved(path: Path, body: str, opset: int = 18, known: str = "") -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    g (float[N, 3, 8, 8] x) => (float[N, 6] y) <{known}> {{ {body} }}"""
    proto = parsed(text, {})
    used = {name for node in proto.graph.node for name in node.input} | {"zero", "one"}
    proto = parsed(text, {name: array for name, array in CONSTANTS.items() if name in used})
    onnx.save(proto, path / "plain.onnx")
    return path / "plain.onnx"


SQUEEZED = (
    STEM
    + """r = Relu(t) p = GlobalAveragePool(r) s = Shape(p) e = Gather(s, three) c = Equal(e, one)
    f = If(c) <then_branch = first () => (float[] a) { a = Squeeze<axes=[2, 3]>(p) },
               else_branch = second () => (float[] b) { b = Identity(p) }>
    y = MatMul(f, w)"""
)
LOOPED = """n = Loop({trips}, yes, {start}) <body = step (int64 i, bool go, float[] s) =>
    (bool on, float[] o) {{ on = Identity(go) o = Add(s, s) }}> """


def test_a_branch_as_old_exporters_write_it_is_taken_and_differentiated(tmp_path: Path) -> None:
    plain = _saved(tmp_path, SQUEEZED, opset=11)
    report = export(plain, tmp_path / "m.onnx", layers="t")
    assert report.operators == {
        "MatMul": 1, "Identity": 1, "Squeeze": 1, "GlobalAveragePool": 1, "Relu": 1
    }  # fmt: skip
    assert report.verification.reference == "finite-differences"


def test_a_loop_before_the_layer_just_works(tmp_path: Path) -> None:
    body = LOOPED.format(start="x", trips="trips") + STEM.replace("(x", "(n") + POOL.format("t")
    plain = _saved(tmp_path, body, known="float[N, 3, 8, 8] n")
    report = export(plain, tmp_path / "m.onnx", layers="t")
    assert "Loop" not in report.operators


def test_a_loop_and_a_branch_beside_the_path_just_work(tmp_path: Path) -> None:
    body = (
        STEM
        + LOOPED.format(start="x", trips="trips")
        + """m = ReduceMax<keepdims=1>(n) l = ReduceMax<keepdims=0>(x) c = Cast<to=9>(l)
        b = If(c) <then_branch = first () => (float[1, 1, 1, 1] a) { a = Exp(m) },
                   else_branch = second () => (float[1, 1, 1, 1] d) { d = Neg(m) }>
        v = Mul(t, b) """
        + POOL.format("v")
    )
    report = export(_saved(tmp_path, body), tmp_path / "m.onnx", layers="t")
    assert set(report.operators) == {"MatMul", "Flatten", "GlobalAveragePool", "Mul"}


def test_a_loop_and_a_branch_on_the_path_are_refused_with_a_later_layer(tmp_path: Path) -> None:
    body = (
        STEM
        + "l = ReduceMax<keepdims=0>(x) c = Cast<to=9>(l) m = Cast<to=7>(l) "
        + LOOPED.format(start="t", trips="m")
        + """
        b = If(c) <then_branch = first () => (float[N, 4, 8, 8] a) { a = Exp(n) },
                   else_branch = second () => (float[N, 4, 8, 8] d) { d = Neg(n) }>
        v = Sigmoid(b) """
        + POOL.format("v")
    )
    plain = _saved(tmp_path, body)
    with pytest.raises(UnsupportedError, match=r"2 operators .* such as 'v', see") as caught:
        export(plain, tmp_path / "m.onnx", layers="t")
    assert [line.split(":")[0] for line in caught.value.obstacles] == ["Loop 'n4'", "If 'n5'"]
    assert not (tmp_path / "m.onnx").exists()
    export(plain, tmp_path / "m.onnx", layers="v")


def test_a_loop_of_known_length_on_the_path_is_written_out(tmp_path: Path) -> None:
    body = STEM + LOOPED.format(start="t", trips="trips") + "r = Sigmoid(n) " + POOL.format("r")
    report = export(_saved(tmp_path, body), tmp_path / "m.onnx", layers="t")
    assert report.operators["Add"] == 2
    assert report.verification.reference == "finite-differences"
    assert report.verification.errors["gradients"] < 1e-4


def test_group_normalization_in_a_plain_file_is_differentiated(tmp_path: Path) -> None:
    body = (
        STEM
        + "n = GroupNormalization<num_groups=2>(t, scale, scale) r = Relu(n) "
        + POOL.format("r")
    )
    report = export(_saved(tmp_path, body, opset=21), tmp_path / "m.onnx", layers="t")
    assert report.operators["GroupNormalization"] == 1
