"""Methods that need the input's gradient: by hand on linear models, and against captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import Score, export
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.baselines import BASELINES, baseline_of
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.spec import Preprocess
from support.exports import make
from support.images import images, noise
from support.methods import watch_runs
from support.nets import Residual, Tokens
from support.onnx_bytes import onnx_model

MEAN, STD = [0.4, 0.5, 0.3], [0.25, 0.2, 0.5]
# float32 against float64: rounding only, no kink is near.
CLOSE = {"rtol": 2e-4, "atol": 2e-6}


def transform(height: int, width: int, layout: Any = "nchw", channels: int = 3) -> Preprocess:
    size = [height, width]
    return Preprocess(
        "x", size, None, "exact", "bilinear", 1 / 255, MEAN[:channels], STD[:channels], layout
    )


def as_input(image: np.ndarray) -> np.ndarray:
    """What the model is fed: float64 [3, H, W]."""
    return ((image / 255 - MEAN) / STD).transpose(2, 0, 1)


def write_linear(
    path: Path, layout: str = "nchw", batch: int | str = "N", through: str = "Identity",
    *, input_gradients: bool = True, embedded: bool = False,
) -> np.ndarray:  # fmt: skip
    """Export ``score = sum(w * x) + b`` and return its weights [2, 3, 4, 5].

    Or of ``through(x)`` for ``x``.
    """
    turned = "Transpose<perm = [0, 3, 1, 2]>" if layout == "nhwc" else "Identity"
    shape = f"{batch}, 4, 5, 3" if layout == "nhwc" else f"{batch}, 3, 4, 5"
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    m (float[{shape}] x) => (float[{batch}, 2] y)
    {{ t = {turned}(x) a = Conv(t, k) c = {through}(a) f = Flatten(c) y = Gemm(f, w, b) }}"""
    weights, kernel = noise(2, 4, 5, seed=7), np.eye(3, dtype=np.float32)[:, :, None, None]
    tensors = {"k": kernel, "w": weights.reshape(2, 60).T, "b": np.float32([0.5, -1])}
    source = path.with_suffix(".plain.onnx")
    source.write_bytes(onnx_model(text, tensors))
    export(
        source, path, layers="a", preprocess=transform(4, 5, layout),
        score=Score(activation="none"),
        extras=["input_gradients"] * input_gradients + ["embed_preprocess"] * embedded,
        verify="off",
    )  # fmt: skip
    return weights


Linear = tuple[Explainer, np.ndarray]
Subject = tuple[nn.Module, Explainer, tuple[int, int], bool]


@pytest.fixture(scope="module", params=["nchw", "nhwc"])
def linear(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Linear:
    path = tmp_path_factory.mktemp("linear") / "m.onnx"
    weights = write_linear(path, request.param)
    return Explainer(path), weights


def test_on_a_linear_model_every_method_is_known_by_hand(linear: Linear) -> None:
    explainer, w = linear
    (image,) = images(1, 4, 5)
    x = as_input(image)
    black = as_input(np.zeros_like(image))
    mean = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape)
    strongest = np.abs(w).max(axis=1)
    expected = {
        ("saliency", ()): strongest,
        ("input-x-gradient", ()): (w * x).sum(axis=1),
        ("smoothgrad", (("samples", 3),)): strongest,
        ("smoothgrad-squared", (("samples", 3),)): strongest**2,
        ("vargrad", (("samples", 3),)): np.zeros_like(strongest),
        ("integrated-gradients", ()): (w * (x - black)).sum(axis=1),
        ("integrated-gradients", (("steps", 1), ("baseline", 0))): (w * x).sum(axis=1),
        ("integrated-gradients", (("baseline", "mean"),)): (w * (x - mean)).sum(axis=1),
    }
    for (method, options), maps in expected.items():
        found = explainer.explain(image, [0, 1], method=method, options=dict(options))
        np.testing.assert_allclose(found.maps, maps, rtol=1e-5, atol=1e-5, err_msg=method)
        assert (found.maps < 0).any() == METHODS[method].signed, method
    # The axiom that gives integrated gradients their name is exact, for any number of steps.
    change = (w * (x - black)).sum(axis=(1, 2, 3))
    scores = (w * x).sum(axis=(1, 2, 3)) + np.array([0.5, -1])
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    found = explainer.explain(image, [0, 1], method="integrated-gradients", options={"steps": 2})
    np.testing.assert_allclose(found.measures["score_change"], change, rtol=1e-5, atol=1e-5)
    assert found.measures["completeness_error"].max() < 1e-5
    first = found.to_dict()["classes"][0]
    assert first["score_change"] == pytest.approx(change[0], rel=1e-5)
    assert first["completeness_error"] < 1e-5


NETS: dict[str, tuple[nn.Module, tuple[int, int], str, bool]] = {
    "residual": (Residual(), (12, 8), "join", True),
    "tokens": (Tokens(), (8, 12), "norm", False),
}


@pytest.fixture(scope="module", params=NETS.values(), ids=NETS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    model, size, layer, relus = request.param
    extras = "guided" if relus else "input_gradients"
    options = {"layers": layer, "preprocess": transform(*size), "extras": extras}
    made = make(model, tmp_path_factory.mktemp("subject") / "m.onnx", size, **options)
    return model.double(), Explainer(made.path), size, relus


Truth = Callable[[nn.Module, torch.Tensor, int], torch.Tensor]


def _signed(method: type) -> Truth:
    return lambda model, x, c: method(model).attribute(x, target=c).sum(1)


def _magnitude(method: type, **how: Any) -> Truth:
    return lambda model, x, c: method(model).attribute(x, target=c, **how).abs().amax(1)


def _integrated(model: nn.Module, x: torch.Tensor, target: int) -> torch.Tensor:
    black = torch.from_numpy(as_input(np.zeros((1, 1, 3)))).expand_as(x[0])[None]
    method = captum.attr.IntegratedGradients(model)  # its default is the same quadrature
    return method.attribute(x, black, target=target, n_steps=20).sum(1)


def _noisy(combine: Callable[[torch.Tensor], torch.Tensor]) -> Truth:
    """Captum's NoiseTunnel draws its own noise; so a loop with the same."""

    def truth(model: nn.Module, x: torch.Tensor, target: int) -> torch.Tensor:
        maps: list[torch.Tensor] = []
        for one in x.detach():
            generator = np.random.default_rng(5)
            spread = 0.1 * float(one.max() - one.min())
            noise = [generator.standard_normal(one.shape, np.float32) for _ in range(21)]
            copies = one + spread * torch.from_numpy(np.stack(noise)).double()
            copies.requires_grad_(True)
            slopes = torch.autograd.grad(model(copies)[:, target].sum(), copies)[0]
            maps.append(combine(slopes).abs().amax(0))
        return torch.stack(maps)

    return truth


def _guided_gradcam(model: nn.Module, x: torch.Tensor, target: int) -> torch.Tensor:
    method = captum.attr.GuidedGradCam(model, model.join)  # pyright: ignore[reportArgumentType]
    return method.attribute(x, target, interpolate_mode="bilinear").abs().amax(1)


NOISE = {"samples": 21, "noise": 0.1, "seed": 5}
TRUTHS: dict[str, tuple[Truth, dict[str, Any]]] = {
    "saliency": (_magnitude(captum.attr.Saliency, abs=True), {}),
    "input-x-gradient": (_signed(captum.attr.InputXGradient), {}),
    "integrated-gradients": (_integrated, {"steps": 20}),
    "smoothgrad": (_noisy(lambda g: g.mean(0)), NOISE),
    "smoothgrad-squared": (_noisy(lambda g: g.square().mean(0)), NOISE),
    "vargrad": (_noisy(lambda g: g.var(0, correction=0)), NOISE),
    "guided-backprop": (_magnitude(captum.attr.GuidedBackprop), {}),
    "deconvnet": (_magnitude(captum.attr.Deconvolution), {}),
    "guided-gradcam": (_guided_gradcam, {}),
}


def test_every_method_of_the_input_has_a_reference() -> None:
    of_input = {"input_gradients", "guided_gradients", "deconvnet_gradients"}
    assert set(TRUTHS) == {
        method for method, record in METHODS.items() if of_input.intersection(record.needs)
    }


@pytest.mark.parametrize("method", TRUTHS)
def test_methods_equal_captum(subject: Subject, method: str) -> None:
    model, explainer, size, relus = subject
    if method in ("guided-backprop", "deconvnet", "guided-gradcam") and not relus:
        with pytest.raises(InputError, match="export it with --extra guided"):
            explainer.explain(images(1, *size)[0], method=method)
        return
    batch, classes = images(3, *size), [2, 0, 4]
    truth, options = TRUTHS[method]
    found = explainer.explain(batch, classes, method=method, options=options)
    for k, target in enumerate(classes):
        x = torch.from_numpy(np.stack([as_input(image) for image in batch])).requires_grad_(True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum warns that it sets hooks
            maps = truth(model, x, target).detach().numpy()
        largest = np.abs(maps).max()
        assert k or largest > 1e-4  # one class has no evidence in Grad-CAM's view
        for one, expected in zip(found, maps, strict=True):
            np.testing.assert_allclose(one.maps[k], expected, rtol=2e-4, atol=2e-5 * largest)
            assert one.maps.shape == (3, *size)


@pytest.mark.parametrize("method", ["smoothgrad", "integrated-gradients"])
def test_runs_are_small_counted_and_independent_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    write_linear(tmp_path / "m.onnx", through="Tanh")
    write_linear(tmp_path / "fixed.onnx", through="Tanh", batch=4)
    explainer, fixed = Explainer(tmp_path / "m.onnx"), Explainer(tmp_path / "fixed.onnx")
    runs = watch_runs(monkeypatch, explainer)
    calls: list[tuple[int, int]] = []
    batch = images(3, 4, 5, seed=2)
    options = {"samples": 21} if method == "smoothgrad" else {"steps": 20}
    together = explainer.explain(
        batch, top=2, method=method, progress=lambda *at: calls.append(at), options=options
    )
    # 21 variants of three images, two classes: of at most eight rows two variants go into a run.
    rows = [(len(feeds["x"]), feeds["class_index"].shape[1]) for feeds in runs]
    assert rows == [(3, 2), *[(6, 2)] * 10, (3, 2)]
    assert calls == [(done, 12) for done in range(1, 13)]
    for image, one in zip(batch, together, strict=True):
        assert np.ptp(one.maps) > 0.01
        for other in (explainer, fixed):
            alone = other.explain(image, top=2, method=method, options=options)
            assert alone.classes == one.classes
            np.testing.assert_allclose(alone.maps, one.maps, **CLOSE)
    again = explainer.explain(batch, top=2, method=method, options=options)
    for one, other in zip(together, again, strict=True):
        np.testing.assert_array_equal(one.maps, other.maps)


def test_copies_that_fill_a_fixed_batch_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_linear(tmp_path / "m.onnx", batch=4)
    explainer = Explainer(tmp_path / "m.onnx")
    calls: list[tuple[int, int]] = []
    explainer.explain(
        images(2, 4, 5),
        method="smoothgrad",
        options={"samples": 6},
        progress=lambda *at: calls.append(at),
    )
    # Two images fill half of the batch: two variants of them go into a run.
    assert calls == [(done, 4) for done in range(1, 5)]


def test_ranks_are_those_of_the_clean_image(
    linear: Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer, weights = linear
    (image,) = images(1, 4, 5)
    runs, options = watch_runs(monkeypatch, explainer), {"samples": 9, "noise": 5.0}
    found = explainer.explain(image, top=2, method="smoothgrad", options=options)
    class_indices = [feeds["class_index"].tolist() for feeds in runs]
    assert class_indices == [[[-1, -2]], [found.classes], [found.classes]]
    np.testing.assert_allclose(found.maps, np.abs(weights).max(axis=1)[found.classes], rtol=1e-5)


def test_no_class_is_one_run_and_no_map(linear: Linear) -> None:
    calls: list[tuple[int, int]] = []
    for method in ("saliency", "smoothgrad", "integrated-gradients"):
        found = linear[0].explain(
            images(1, 4, 5)[0], [], method=method, progress=lambda *at: calls.append(at)
        )
        assert found.maps.shape == (0, 4, 5)
    assert calls == [(1, 1), (1, 1)]


def test_overflow_is_a_status_and_no_warning(linear: Linear) -> None:
    (image,) = images(1, 4, 5)
    found = linear[0].explain(image, method="integrated-gradients", options={"baseline": 1e39})
    assert found.status == ["nonfinite"]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_baselines_in_both_layouts(layout: Any) -> None:
    x = as_input(images(1, 24, 36)[0])
    own = x if layout == "nchw" else np.moveaxis(x, 0, -1)
    stored = transform(24, 36, layout)
    found = {name: baseline_of(name, own, stored) for name in BASELINES}
    if layout == "nhwc":
        found = {name: np.moveaxis(value, -1, 0) for name, value in found.items()}
    np.testing.assert_allclose(found["black"], as_input(np.zeros((24, 36, 3))))
    np.testing.assert_allclose(found["mean"][1], x[1].mean())
    # Noise goes when it is blurred; its mean stays.
    np.testing.assert_allclose(found["blur"].mean((1, 2)), x.mean((1, 2)), atol=0.1)
    assert (found["blur"].std((1, 2)) < x.std((1, 2)) / 4).all()


def test_a_grey_image_is_blurred_too() -> None:
    x = np.random.default_rng(0).standard_normal((1, 9, 7))
    assert baseline_of("blur", x, transform(9, 7, channels=1)).shape == (1, 9, 7)


REFUSALS = {
    "no samples": ("smoothgrad", {"samples": 0}, "samples=0 is out of range; give a whole"),
    "half a step": ("integrated-gradients", {"steps": 1.5}, "steps=1.5: give a whole number"),
    "negative noise": ("vargrad", {"noise": -0.1}, "noise=-0.1 is out of range"),
    "no seed": ("smoothgrad", {"seed": -1}, "seed=-1 is out of range"),
    "unknown baseline": (
        "integrated-gradients", {"baseline": "blck"}, "did you mean 'black'.*blur, mean"),
    "baseline of another size": (
        "integrated-gradients", {"baseline": np.zeros((3, 4, 4))}, r"\[3, 4, 4\]; pass numbers"),
    "unknown option": ("saliency", {"samples": 3}, "takes no option 'samples'"),
    "no ReLU": ("guided-gradcam", {}, "has no guided_gradients.*--extra guided"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "options", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_carry_the_remedy(
    linear: Linear, method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        linear[0].explain(images(1, 4, 5)[0], method=method, options=options)


def test_an_artifact_without_the_tensor_says_how_to_get_it(tmp_path: Path) -> None:
    write_linear(tmp_path / "m.onnx", input_gradients=False)
    explainer = Explainer(tmp_path / "m.onnx")
    for method in ("saliency", "smoothgrad", "integrated-gradients", "input-x-gradient"):
        with pytest.raises(InputError, match="--extra input_gradients"):
            explainer.explain(images(1, 4, 5)[0], method=method)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_embedded_preprocessing_leaves_what_does_not_touch_the_input(
    tmp_path: Path, layout: str
) -> None:
    weights = write_linear(tmp_path / "m.onnx", layout, embedded=True)
    explainer = Explainer(tmp_path / "m.onnx")
    found = explainer.explain(images(1, 4, 5)[0], [1], method="saliency")
    np.testing.assert_allclose(found.maps, np.abs(weights[1:]).max(axis=1), rtol=1e-5)
    with pytest.raises(InputError, match="export it without embed_preprocess"):
        explainer.explain(images(1, 4, 5)[0], [1], method="input-x-gradient")
