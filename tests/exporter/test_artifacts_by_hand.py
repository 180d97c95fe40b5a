"""The artifacts that the runtime's tests write without the package onnx are what they claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.session.optimized_for import Target, read_target, write_target
from support.artifacts import (
    SCORE,
    resize_model,
    spec,
    write_artifact,
    write_segmenter,
    write_two_layers,
)
from support.exports import export_segmenter, export_two_layers
from support.images import noise
from support.onnx_bytes import onnx_model

TEXT = """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
    small (float[N, 3, 4] x, int64[1] k, float16[2] h, uint8[A] u) => (float[N, 3, 4] y, bool[A] z)
    {
        a, b = Split <axis = -1, num_outputs = 2> (x)
        c = Clip (a, , k1)
        d = Resize <axes = [0, 1], cubic_coeff_a = -0.5, mode = "a -> b"> (c, , , k)
        y = Concat <axis = 2> (d, b)
        z = Cast <to = 9> (u)
    }"""


def test_the_bytes_equal_those_of_onnxs_own_parser() -> None:
    constants = {"k1": np.float32([1.5, -2]), "ids": np.array(-300), "f": np.ones((2, 1), "f2")}
    model = onnx.load_from_string(onnx_model(TEXT, constants, {"key": "größe", "other": "x" * 200}))
    assert {one.key: one.value for one in model.metadata_props} == {
        "key": "größe", "other": "x" * 200,
    }  # fmt: skip
    for one in model.graph.initializer:
        found = onnx.numpy_helper.to_array(one)
        np.testing.assert_array_equal(found, constants[one.name])
        assert found.dtype == constants[one.name].dtype
    assert len(model.graph.initializer) == 3
    del model.metadata_props[:], model.graph.initializer[:]
    expected = onnx.parser.parse_model(TEXT)
    assert onnx.printer.to_text(model) == onnx.printer.to_text(expected)


@pytest.mark.parametrize("text", [TEXT.replace("Cast <", "Cast ["), TEXT.replace("Concat", "")])
def test_text_that_is_no_statement_is_no_model(text: str) -> None:
    with pytest.raises(AssertionError, match="no statement"):
        onnx_model(text)


WRITERS = {
    "plain": write_artifact,
    "probabilities": lambda path: write_artifact(path, spec(score=replace(SCORE, output="probs"))),
    "single": lambda path: write_artifact(
        path, spec(score=replace(SCORE, single_logit=True), labels=None), weights=[[1.0, 2.0, 3.0]]
    ),
    "two layers": write_two_layers,
    "segmenter": write_segmenter,
    "web": lambda path: write_segmenter(path, profile="web"),
    "open": lambda path: write_segmenter(path, size=("H", "W"), batch=2),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_artifact_is_valid(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_the_resize_models_are_valid(mode: str) -> None:
    onnx.checker.check_model(onnx.load_from_string(resize_model(mode)), full_check=True)


Writer = Callable[[Path], Path]
PAIRS: dict[str, tuple[Writer, Writer]] = {
    "segmenter": (write_segmenter, export_segmenter),
    "two layers": (write_two_layers, export_two_layers),
}
REGION = np.random.default_rng(0).random((2, 3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("kind", PAIRS)
def test_they_compute_what_an_export_of_their_model_does(tmp_path: Path, kind: str) -> None:
    by_hand, exported = (
        Explainer(write(tmp_path / f"{write.__name__}.onnx")) for write in PAIRS[kind]
    )
    x = np.abs(noise(2, 32, 32))
    requests: list[dict[str, Any]] = [{}, {"class_index": [[3, -1, 0, -2]]}]
    if kind == "segmenter":
        requests.append({"class_index": [[1, -1, -4]], "region": REGION})
    for options in requests:
        found, expected = by_hand.run(x, **options), exported.run(x, **options)
        for name in ("logits", "classes", "scores"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
        for one, other in zip(by_hand.spec.layers, exported.spec.layers, strict=True):
            for name in ("heatmap", "activations", "gradients"):
                mine, theirs = found[getattr(one, name)], expected[getattr(other, name)]
                assert np.any(theirs)
                np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_entry_is_metadata_to_every_reader_of_onnx(tmp_path: Path) -> None:
    artifact = write_artifact(tmp_path / "patches.onnx")
    target = Target("1.2.3", "CPUExecutionProvider", "Linux " + "x" * 200)
    write_target(artifact, target)
    assert read_target(artifact) == target
    found = {entry.key: entry.value for entry in onnx.load(artifact).metadata_props}
    assert set(found) == {"graftcam", "graftcam.target"}
    assert '"onnxruntime": "1.2.3"' in found["graftcam.target"]
