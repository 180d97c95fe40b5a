"""Smaller artifacts: int8 and float16 forward parts with float32 gradients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from graftcam.demo.bundled import FOLDER, images
from graftcam.demo.run import points_at
from graftcam.exporter import VerificationError
from graftcam.exporter.errors import CaptureError
from graftcam.exporter.shrink import shrink
from graftcam.runtime import Explainer
from graftcam.runtime.custody.digests import write_digests
from support.cli import call, fail, succeed
from support.exports import exported_digits

PATHS = [image.path for image in images()]


@pytest.fixture(scope="module")
def digits() -> Path:
    return exported_digits()


@pytest.fixture(scope="module")
def small(digits, tmp_path_factory) -> dict[str, Path]:
    """Copies of the digits' artifact by precision; tests leave them as they are."""
    folder = tmp_path_factory.mktemp("small")
    paths = {precision: folder / f"{precision}.onnx" for precision in ("int8", "float16")}
    for precision, path in paths.items():
        done = shrink(digits, path, precision, PATHS)
        assert done.bytes == (digits.stat().st_size, path.stat().st_size)
    return paths


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.35), ("float16", 0.6)])
def test_a_smaller_artifact_looks_at_the_same_digits(digits, small, precision, most):
    path = small[precision]
    assert path.stat().st_size < most * digits.stat().st_size
    spec = Explainer(path).spec
    assert spec.source["precision"] == precision
    assert (spec.verification.reference, spec.verification.verdict) == ("artifact", "pass")
    assert spec.verification.errors["heatmap"] < 0.01
    explainer = Explainer(path)
    for shown in images():
        found = explainer.explain(shown.path, [box.label for box in shown.boxes])
        assert all(map(points_at, found.heatmaps, shown.boxes))


def test_only_the_forward_part_is_quantised(digits, small):
    before = {n.name: n.op_type for n in onnx.load(digits).graph.node}
    after = {n.name: n for n in onnx.load(small["int8"]).graph.node}
    own = [name for name in before if name.startswith("grad/")]
    assert own
    assert all(after[name].op_type == before[name] for name in own)
    quantised = [n for n in after.values() if n.op_type == "QuantizeLinear"]
    assert quantised
    assert not any("grad/" in name for n in quantised for name in n.input)
    # The scores themselves stay float: close logits must not tie.
    makers = {name: n.op_type for n in after.values() for name in n.output}
    assert makers["logits"] == "Gemm"


def test_what_no_longer_agrees_is_not_written(digits, tmp_path):
    path = tmp_path / "small.onnx"
    with pytest.raises(VerificationError, match="maps of 8 images are similar by"):
        shrink(digits, path, "int8", PATHS, at_least=0.99999)
    assert not list(tmp_path.iterdir())


def test_the_gate_holds_it_against_the_artifact_that_it_was_made_from(digits, tmp_path):
    path = tmp_path / "small.onnx"
    result = succeed("shrink", digits, "--precision", "int8", "--images", FOLDER, "-o", path)
    assert "of the predictions equal" in result.stdout
    result = succeed("verify", path, "--against", digits, "--images", FOLDER, "--json", "-")
    checks = {(c["check"], c["subject"]): c for c in json.loads(result.stdout)["checks"]}
    assert checks["agreement", "heatmap"]["value"] > 0.99
    assert "give the artifact that it was made from with --against" in fail("verify", path)


def test_another_model_fails_the_gate(digits, small, tmp_path):
    spoiled = tmp_path / "spoiled.onnx"
    model = onnx.load(small["int8"])
    weight = next(i for i in model.graph.initializer if i.name == "head.weight")
    turned = np.roll(onnx.numpy_helper.to_array(weight), 3, axis=0)
    weight.CopyFrom(onnx.numpy_helper.from_array(turned, weight.name))
    onnx.save(model, spoiled)
    write_digests(spoiled)  # as a faulty tool would
    result = call("verify", spoiled, "--against", digits, "--images", FOLDER)
    assert result.exit_code == 1
    assert "agreement" in result.stdout


def test_a_copy_is_not_copied_again(small, tmp_path):
    with pytest.raises(CaptureError, match="is float16 already"):
        shrink(small["float16"], tmp_path / "smaller.onnx", "int8", PATHS)
