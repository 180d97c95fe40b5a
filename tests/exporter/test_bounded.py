"""Verification ends: in its time, with what it has proven and what not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch.nn import functional

from graftcam.exporter import SettingsError, UnprovenError, Verify, export
from graftcam.exporter.verify.float64 import head_gradients
from graftcam.exporter.verify.float64.head import Float64Head
from graftcam.exporter.verify.verdict.deadline import Deadline, OutOfTime
from graftcam.runtime.errors import ImageError
from graftcam.runtime.explainer import Explainer
from graftcam.runtime.spec import Preprocess
from support.cli import call
from support.images import images, write_images
from support.onnx_text import parsed

_HEAD = """<ir_version: 8, opset_import: ["" : 18]>
    up (float[N, 3, 8, 8] image) => (float[N, 4] logits)
    {
        layer = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, kernel)
        rectified = Relu(layer)
        larger = ConvTranspose <strides = [2, 2]> (rectified, back)
        extents = Shape(larger)
        doubled = Mul(extents, twice)
        resized = Resize <mode = "linear"> (larger, none, none, doubled)
        pooled = AveragePool <kernel_shape = [3, 3], strides = [2, 2]> (resized)
        bent = Erf(pooled)
        joined = Concat <axis = 1> (bent, pooled)
        largest = MaxPool <kernel_shape = [2, 2]> (joined)
        mean = GlobalAveragePool(largest)
        logits = Flatten(mean)
    }"""


def _constants() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "kernel": draw.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "back": draw.standard_normal((4, 2, 3, 3)).astype(np.float32),
        "none": np.zeros(0, np.float32),
        "twice": np.array([1, 1, 2, 2]),
    }


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.onnx"
    onnx.save(parsed(_HEAD, _constants()), path)
    return path


def test_a_loop_in_python_is_stopped() -> None:
    def forever() -> None:
        while True:
            time.sleep(0)

    since = time.perf_counter()
    with pytest.raises(OutOfTime):
        Deadline(0.2).bounded(forever)
    assert time.perf_counter() - since < 20


def test_a_bounded_function_gives_its_result_or_its_error() -> None:
    assert Deadline(60).bounded(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        Deadline(60).bounded(lambda: 1 // 0)


def test_the_head_in_float64_moves_as_pytorch_says(plain: Path) -> None:
    model = ir.load(plain)
    image = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
    head = Float64Head(model, "layer", "logits", {"image": image}, plain.parent)
    constants = {name: torch.from_numpy(value).double() for name, value in _constants().items()}

    def truth(layer: torch.Tensor) -> torch.Tensor:
        larger = functional.conv_transpose2d(layer.relu(), constants["back"], stride=2)
        resized = functional.interpolate(
            larger, scale_factor=2, mode="bilinear", align_corners=False
        )
        pooled = functional.avg_pool2d(resized, 3, 2)
        joined = torch.cat([torch.erf(pooled), pooled], 1)
        return functional.max_pool2d(joined, 2, 1).mean((2, 3))

    start = functional.conv2d(torch.from_numpy(image).double(), constants["kernel"], stride=2,
                              padding=1)  # fmt: skip
    move = torch.from_numpy(np.random.default_rng(2).standard_normal(tuple(start.shape)))
    here = head(start.numpy())
    np.testing.assert_allclose(here, truth(start).numpy(), rtol=1e-5)
    # A millionth of a step, which float32 would not show.
    moved = (head((start + 1e-6 * move).numpy()) - here) / 1e-6
    assert head.in_python == set()
    expected = torch.func.jvp(truth, (start,), (move,))[1]
    np.testing.assert_allclose(moved, expected.numpy(), rtol=1e-4)


def test_without_time_nothing_is_written_and_the_reason_is_said(plain: Path) -> None:
    path = plain.with_name("a.onnx")
    with pytest.raises(
        UnprovenError, match=r"not verified.*because (one run|no time).*--verify-seconds"
    ) as e:
        export(plain, path, layers="layer", verify=Verify(seconds=1e-3))
    assert "Proven so far: metadata, outputs" in str(e.value)
    assert not path.exists()


def test_a_partial_proof_is_written_only_if_accepted_and_says_so(plain: Path) -> None:
    path = plain.with_name("a.onnx")
    report = export(plain, path, layers="layer", verify=Verify(seconds=1e-3, partial=True))
    assert report.verification.verdict == "unproven"
    assert report.verification.checks is not None
    assert report.verification.checks["gradients"] == "unproven"
    assert report.verification.checks["heatmap"] == "pass"
    record = Explainer(path, "cpu").spec.verification
    assert record.unproven
    assert "gradients" in record.unproven[0]


def test_exit_code_3_means_not_verified(plain: Path) -> None:
    path = plain.with_name("a.onnx")
    command = ["export", plain, "-o", path, "--layer", "layer", "--verify-seconds", "0.001"]
    result = call(*command)
    assert result.exit_code == 3
    assert "not verified" in result.stderr
    assert not path.exists()
    result = call(*command, "--accept-partial")
    assert result.exit_code == 3
    assert "NOT verified" in result.stdout
    assert path.exists()
    result = call("verify", path, "--seconds", "0.001", "--json", "-")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["verdict"] == "unproven"
    assert call("verify", path).exit_code == 0


def test_a_release_with_an_unproven_model_ends_with_3_and_makes_it_again(plain: Path) -> None:
    config = plain.with_name("release.toml")
    text = '[one]\nsource = "plain.onnx"\nto = "a.onnx"\nlayer = "layer"\n'
    config.write_text(text + "verify-seconds = 0.001\naccept-partial = true\n")
    for _ in range(2):  # a partial proof is not taken for the release
        result = call("export", "--config", config)
        assert result.exit_code == 3
        assert "NOT verified" in result.stdout
    config.write_text(text)
    assert call("export", "--config", config).exit_code == 0


def test_the_report_page_says_what_is_not_proven(plain: Path) -> None:
    folder = plain.with_name("report")
    with pytest.raises(UnprovenError):
        export(plain, plain.with_name("a.onnx"), layers="layer", report=folder,
               verify=Verify(seconds=1e-3))  # fmt: skip
    page = (folder / "index.html").read_text("utf-8")
    assert "? Not proven" in page
    assert "What is not proven" in page
    assert json.loads((folder / "report.json").read_text("utf-8"))["verdict"] == "unproven"


def test_an_evaluator_that_fails_is_no_fault_of_the_artifact(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Float64Head):
        def __call__(self, value: Any) -> Any:
            raise NotImplementedError("num_directions=2")

    monkeypatch.setattr(head_gradients, "Float64Head", Failing)
    with pytest.raises(UnprovenError, match="in float64 fails: NotImplementedError: num_dir"):
        export(plain, plain.with_name("a.onnx"), layers="layer")


def test_an_evaluator_that_errs_is_no_fault_of_the_artifact(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(Float64Head):
        def __call__(self, value: Any) -> Any:
            return 2 * super().__call__(value)

    monkeypatch.setattr(head_gradients, "Float64Head", Wrong)
    with pytest.raises(UnprovenError, match="gives other scores than ONNX Runtime"):
        export(plain, plain.with_name("a.onnx"), layers="layer")


@pytest.mark.parametrize(
    ("name", "body", "constants"),
    [
        pytest.param("first", "first, second = Split <axis = 1, num_outputs = 2> (image)", {},
                     id="first of Split"),
        pytest.param("second", "first, second = Split <axis = 1, num_outputs = 2> (image)", {},
                     id="second of Split"),
        pytest.param("first", "first, places = TopK <axis = 1> (image, two) "
                     "numbers = Cast <to = 1> (places) second = Sigmoid(numbers)",
                     {"two": np.array([2])}, id="values of TopK"),
    ],
)  # fmt: skip
def test_one_of_several_outputs_is_a_layer_like_any_other(
    name: str, body: str, constants: dict[str, Any], tmp_path: Path
) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        several (float[N, 4, 3, 3] image) => (float[N, 2] logits)
        {{
            {body}
            gate = Sigmoid(first)
            gated = Mul(gate, second)
            logits = ReduceMean <keepdims = 0> (gated, axes)
        }}"""
    onnx.save(parsed(text, {"axes": np.array([2, 3]), **constants}), tmp_path / "plain.onnx")
    report = export(tmp_path / "plain.onnx", tmp_path / "a.onnx", layers=name)
    assert report.verification.verdict == "pass"
    assert report.verification.errors["gradients"] < 1e-5


@pytest.mark.parametrize(
    "given",
    [
        lambda: Verify("quik"),  # pyright: ignore[reportArgumentType]
        lambda: Verify(seconds=0),
        lambda: Verify("off", seconds=5),
        lambda: Verify(max_pixels=0),
        lambda: Verify(max_pixels=True),
    ],
)
def test_settings_that_cannot_be_are_refused(given: Callable[[], Verify], plain: Path) -> None:
    with pytest.raises(SettingsError):
        export(plain, plain.with_name("a.onnx"), verify=given())


def test_images_to_verify_on_have_the_limit_of_the_settings(plain: Path, tmp_path: Path) -> None:
    folder = write_images(tmp_path / "photos", images(1, 10, 10))
    transform = Preprocess("", [8, 8], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
    with pytest.raises(ImageError, match=r"0\.png has 10 x 10 pixels, more than 99; shrink it"):
        export(plain, tmp_path / "a.onnx", layers="layer", preprocess=transform, images=folder,
               verify=Verify(max_pixels=99))  # fmt: skip
    assert not (tmp_path / "a.onnx").exists()
