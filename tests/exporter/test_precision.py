"""float16 models: gradients in float32 that do not underflow, and their reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.shape_inference import InferenceError
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, RuntimeException
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn

from graftcam.exporter import VerificationError, export, pipeline
from graftcam.exporter.differentiate import registry
from graftcam.exporter.score import seed as seeding
from graftcam.exporter.verify.checks.torch_reference import Reference
from graftcam.exporter.verify.runs import running
from graftcam.exporter.verify.runs.running import load_session, run_session
from graftcam.exporter.verify.verdict.compare import compare, relative_errors
from support.exports import to_onnx
from support.images import noise
from support.nets import Flat, Tiny, Tokens, seeded
from support.operators.cases import CASES
from support.operators.checks import gradients, truth
from support.operators.harness import Case, Model, assert_close, graft, run_ort, session, weights

HALF = (torch.zeros(1, 3, 8, 8, dtype=torch.float16),)
EPSILON = 2.0**-11  # half of a float16's last place
# Operators that ONNX Runtime's CPU lacks in float16, in the releases that are tested.
NO_HALF_KERNEL = {"Celu", "MeanVarianceNormalization"}
RULES = [op_type for op_type, entry in registry.table().items() if entry.rule is not None]


def _run(path: Path, classes: list[list[int]], dtype: type = np.float16) -> dict[str, Any]:
    x, made = noise(2).astype(dtype), load_session(path)
    feed = made.get_inputs()[0].name
    return run_session(made, {feed: x, "class_index": np.array(classes, np.int64)}) | {"x": x}


def _truth(model: nn.Module, report: Any, found: dict[str, Any]) -> Any:
    reference = Reference(model, report.spec.layers)
    return reference([torch.from_numpy(found["x"])], found["classes"])


@pytest.mark.parametrize(
    ("kind", "layer"),
    [(Tiny, "conv1"), (Tiny, "relu2"), (Flat, "body.0"), (Tokens, "norm"), (Tokens, None)],
)
def test_a_half_model_is_explained_in_float32(
    tmp_path: Path, kind: type[nn.Module], layer: str | None
) -> None:
    model, path = seeded(kind()).half(), tmp_path / "m.onnx"
    report = export(model, path, HALF, layers=layer)
    assert report.verification.reference == "autograd-float64"
    found = _run(path, [[-1, 0]])
    right = _truth(model, report, found)
    (name,) = report.layers
    for key, expected in (
        ("scores", right.scores), ("activations", right.activations[name]),
        ("gradients", right.gradients[name]), ("heatmap", right.heatmaps[name]),
    ):  # fmt: skip
        assert found[key].dtype == np.float32
        # A few dozen roundings; heatmaps are differences of larger numbers.
        slack = 100 if key == "heatmap" else 10
        assert relative_errors(found[key], expected).max() < slack * EPSILON, key


@pytest.mark.parametrize("classes", [0, 1, 3])
def test_a_half_model_takes_any_number_of_classes(tmp_path: Path, classes: int) -> None:
    export(seeded(Flat()).half(), tmp_path / "m.onnx", HALF, layers="body.0", verify="off")
    found = _run(tmp_path / "m.onnx", [list(range(classes))])
    assert found["gradients"].shape == (2, classes, 6, 8, 8)
    assert np.isfinite(found["gradients"]).all()


class Faint(nn.Module):
    """Gradients of about 1e-7, small by products that float16 has to compute."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = (0.01 * self.stem(x)).tanh()
        return self.head((1e-4 * y).flatten(1))


def _faint(tmp_path: Path) -> tuple[float, np.ndarray]:
    """Error and gradients of `Faint`, rounded to float16 after every operator, as GPUs do it.

    ONNX Runtime's CPU would compute most of it in float32.
    """
    model = seeded(Faint()).half()
    report = export(model, tmp_path / "m.onnx", HALF, layers="stem", verify="off")
    evaluator = ReferenceEvaluator(onnx.load(tmp_path / "m.onnx"))
    given = {"x": noise(2).astype(np.float16), "class_index": np.array([[0]])}
    found = dict(zip(evaluator.output_names, evaluator.run(None, given), strict=True))
    right = _truth(model, report, found | given).gradients["stem"]
    assert 1e-8 < np.median(np.abs(right)) < 1e-6
    return float(relative_errors(found["gradients"], right).max()), found["gradients"]


def test_faint_gradients_keep_their_digits(tmp_path: Path) -> None:
    error, _ = _faint(tmp_path)
    assert error < 4 * EPSILON


def test_without_the_scale_they_would_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "FLOAT16_SCALE", 1.0)
    error, gradients = _faint(tmp_path)
    assert error > 20 * EPSILON
    assert (gradients == 0).mean() > 0.01


class Steep(nn.Module):
    """Gradients of several hundred; the usual scale of cotangents leaves room for 64."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x).tanh()
        return self.head((500 * y).sum((2, 3)) / 2)


def _steep(tmp_path: Path) -> tuple[Any, np.ndarray]:
    """Gradients of `Steep`, rounded to float16 after every operator, and the right ones."""
    model = seeded(Steep()).half()
    report = export(model, tmp_path / "m.onnx", HALF, layers="stem", verify="off")
    evaluator = ReferenceEvaluator(onnx.load(tmp_path / "m.onnx"))
    given = {"x": noise(2).astype(np.float16), "class_index": np.array([[0]])}
    with np.errstate(over="ignore", invalid="ignore"):
        found = dict(zip(evaluator.output_names, evaluator.run(None, given), strict=True))
    return _truth(model, report, found | given).gradients["stem"], found["gradients"]


def test_steep_gradients_fit_into_float16(tmp_path: Path) -> None:
    right, gradients = _steep(tmp_path)
    assert np.abs(right).max() > 64
    assert relative_errors(gradients, right).max() < 10 * EPSILON
    verdict = export(
        seeded(Steep()).half(), tmp_path / "full.onnx", HALF, layers="stem", verify="full"
    ).verification
    assert verdict.verdict == "pass"
    assert verdict.checks["determinism"] == "pass"
    assert verdict.thresholds["gradients"] < 0.1  # PyTorch's own gradients are finite as well


def test_with_the_usual_scale_they_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "check_scale", lambda *arguments: None)
    assert not np.isfinite(_steep(tmp_path)[1]).all()


def test_a_lost_reference_proves_nothing() -> None:
    right = np.random.default_rng(0).standard_normal((4, 100))
    assert compare("x", right, right, right * np.nan).passed
    assert not compare("x", right * 2, right, right * np.nan).passed
    assert not compare("x", np.roll(right, 1, axis=1), right, right * 5).passed


class Mixed(nn.Module):
    """Features in one precision, the head in another."""

    def __init__(self, body: torch.dtype, head: torch.dtype) -> None:
        super().__init__()
        self.body = Tiny()
        self.kinds = body, head
        seeded(self)
        self.body.to(body).head.to(head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        body, head = self.kinds
        y = self.body.pool(self.body.features(x.to(body)))
        return self.body.head(y.flatten(1).to(head))


@pytest.mark.parametrize("body", [torch.float16, torch.float32])
def test_precisions_may_change_on_the_way(tmp_path: Path, body: torch.dtype) -> None:
    head = torch.float32 if body is torch.float16 else torch.float16
    example = (torch.zeros(1, 3, 8, 8),)
    report = export(Mixed(body, head).eval(), tmp_path / "m.onnx", example, layers="body.conv1")
    assert 0 < report.verification.errors["gradients"] < 10 * EPSILON
    assert _run(tmp_path / "m.onnx", [[0]], np.float32)["gradients"].dtype == np.float32


@pytest.mark.parametrize("keep_io_types", [False, True])
@pytest.mark.parametrize(("kind", "layer"), [(Tiny, "relu1"), (Tokens, "patch")])
def test_a_converted_float16_file_is_explained(
    tmp_path: Path, kind: type[nn.Module], layer: str, keep_io_types: bool
) -> None:
    to_onnx(seeded(kind()), tmp_path / "wide.onnx", opset_version=18)
    half = convert_float_to_float16(onnx.load(tmp_path / "wide.onnx"), keep_io_types=keep_io_types)
    onnx.save(half, tmp_path / "half.onnx")
    report = export(tmp_path / "half.onnx", tmp_path / "m.onnx", layers=layer)
    assert report.verification.reference == "finite-differences"
    assert set(report.verification.thresholds.values()) == {1e-2}
    found = _run(tmp_path / "m.onnx", [[-1]], np.float32 if keep_io_types else np.float16)
    assert found["gradients"].dtype == np.float32
    assert np.isfinite(found["gradients"]).all()


def test_bfloat16_which_onnx_runtimes_cpu_cannot_run_is_not_written_unproven(
    tmp_path: Path,
) -> None:
    example = (torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16),)
    message = r"the model is bfloat16, and m\.onnx: ONNX Runtime cannot load it.*float32 or float16"
    with pytest.raises(VerificationError, match=message):
        export(seeded(Tiny()).bfloat16(), tmp_path / "m.onnx", example, layers="conv1")
    assert list(tmp_path.iterdir()) == []


def test_a_crash_of_onnx_runtime_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_LOAD", "import os; os.abort()")
    with pytest.raises(VerificationError, match=r"crashes while it optimises this float16 model"):
        export(seeded(Tiny()).half(), tmp_path / "m.onnx", HALF, layers="conv1")
    assert list(tmp_path.iterdir()) == []


def _runs(case: Case) -> bool:
    """Whether ONNX Runtime has the case's operators in float16."""
    try:
        runner = session(Model(case, np.float16, case.batches[-1]).proto)
        run_ort(runner, case.feeds(case.batches[-1]))
    except (Fail, InferenceError, InvalidGraph, RuntimeException):
        return False
    return True


@pytest.mark.parametrize("op_type", RULES)
def test_every_rule_runs_in_float16(op_type: str) -> None:
    found = [case for case in CASES if op_type in case.operators and not case.kink]
    found.sort(key=lambda case: len(case.operators))
    case = next((case for case in found if _runs(case)), None)
    if case is None:
        assert op_type in NO_HALF_KERNEL
        pytest.skip(f"ONNX Runtime's CPU has no {op_type} in float16")
    batch = case.batches[-1]
    seed, right = truth(case, batch)
    made = session(graft(Model(case, np.float16, batch)).proto)
    got = gradients(run_ort(made, {**case.feeds(batch), "seed": seed}))
    # Inputs and cotangents are rounded already: slopes of slopes come in.
    assert_close(got, right, 20 * EPSILON, "in float16")


@pytest.mark.parametrize(
    "body", ["y = LayerNormalization<axis=1>(x, s)", "y = InstanceNormalization(x, c, c)"]
)
def test_statistics_of_large_float16_numbers_do_not_overflow(body: str) -> None:
    case = Case("large", body, {"x": ("N", 2, 3, 4)}, None,
                {"s": weights(2, 3, 4), "c": weights(2)}, span=(-1000.0, 1000.0))  # fmt: skip
    seed, right = truth(case, 1)
    scale = max(np.abs(gradient).max() for gradient in right.values())
    made = session(graft(Model(case, np.float16, 1)).proto)
    got = gradients(run_ort(made, {**case.feeds(1), "seed": seed}))
    # Slopes are 1/600: relative to them, or the test would see nothing.
    for name, gradient in right.items():
        assert np.abs(got[name] - gradient).max() < 20 * EPSILON * scale
