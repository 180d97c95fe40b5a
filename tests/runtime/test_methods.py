"""Heatmaps from activations and gradients: each method on tensors small enough for paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graftcam.runtime
from graftcam.runtime import Explainer, GraftcamError
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.component import first_component
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render import map_status
from support.artifacts import SCENE, peak
from support.interpreter import python
from support.methods import add_method

FORMULAS = [method for method, record in METHODS.items() if record.is_formula]
gradcam = METHODS["gradcam"]

# One image, two channels, two places: (1, 3) and (2, -1).
ACTIVATIONS = np.array([[[1.0, 3.0], [2.0, -1.0]]])
GRADIENTS = np.array([[[[-1.0, 1.0], [2.0, -1.0]]]])  # of one class
CONSTANT = np.array([[[[0.5, 0.5], [-1.0, -1.0]]]])  # of a class behind an average
RARE = np.array([[[0.0] * 9 + [10.0], [3.0] * 10]])  # means 1 and 3, deviations 3 and 0
ROOT = np.sqrt(0.5)
LINE = np.array([[[1.0, 3.0, 5.0], [1.0, 3.0, 5.0]]])  # centred: (-2, 0, 2) twice
PAIR = np.array([[[1.0, 3.0]] * 3])  # centred: (-1, 1) three times

BY_HAND: dict[str, tuple[str, Any, Any, dict[str, Any], list[float]]] = {
    # Mean gradients 0 and 1/2.
    "Grad-CAM": ("gradcam", ACTIVATIONS, GRADIENTS, {}, [1, 0]),
    "Grad-CAM with its negative part": (
        "gradcam", ACTIVATIONS, GRADIENTS, {"relu": False}, [1, -0.5]),
    # Sums of the channels 4 and 1: weights 1 / (2 + 4) and 2 / (2 + 2).
    "Grad-CAM++": ("gradcam++", ACTIVATIONS, GRADIENTS, {}, [1 / 6 + 1, 0]),
    # Weighted by 1/2 and 5, of sums -1 + 3 and 4 + 1 by 4 and by 1.
    "XGrad-CAM": ("xgradcam", ACTIVATIONS, GRADIENTS, {"relu": False}, [10.5, -3.5]),
    # Terms (-1, 3) and (4, 1).
    "HiResCAM": ("hirescam", ACTIVATIONS, GRADIENTS, {}, [3, 4]),
    # The first term of the first channel has a negative gradient, the second of the second, too.
    "LayerCAM": ("layercam", ACTIVATIONS, GRADIENTS, {}, [4, 3]),
    "element-wise Grad-CAM": ("gradcam-elementwise", ACTIVATIONS, GRADIENTS, {}, [4, 4]),
    "counterfactual": ("counterfactual", ACTIVATIONS, GRADIENTS, {}, [0, 0.5]),
    # Weights 1 and -2.
    "CAM": ("cam", ACTIVATIONS, CONSTANT, {}, [-3, 5]),
    # Both channels alike: the direction is (1, 1) / sqrt(2).
    "Eigen-CAM": ("eigencam", LINE, np.zeros((1, 1, 2, 3)), {}, [0, 0, 4 * ROOT]),
    "Eigen-CAM as in the paper": (
        "eigencam", LINE, np.zeros((1, 1, 2, 3)), {"centre": False},
        [2 * ROOT, 6 * ROOT, 10 * ROOT]),
    # Times -1 it points the other way.
    "Eigen-Grad-CAM": ("eigengradcam", LINE, -np.ones((1, 1, 2, 3)), {}, [4 * ROOT, 0, 0]),
    # Centred places -x and x with |x|^2 = 3 and gamma 1/3: the kernel is tanh(2) for like and
    # tanh(0) for unlike places; centred, its one eigenvalue is tanh(2).
    "KPCA-CAM": ("kpcacam", PAIR, np.zeros((1, 1, 3, 2)), {}, [0, np.sqrt(np.tanh(2) / 2)]),
    # The same with exp(-|x - y|^2) = 1 and exp(-12).
    "KPCA-CAM with another kernel": (
        "kpcacam", PAIR, np.zeros((1, 1, 3, 2)), {"kernel": "rbf", "gamma": 1.0},
        [0, np.sqrt((1 - np.exp(-12)) / 2)]),
    # 10 exceeds 1 + 2 * 3, and 3 never 3.
    "FEM": ("fem", RARE, np.zeros((1, 1, 2, 10)), {}, [0] * 9 + [1]),
    "FEM of what is rarer still": ("fem", RARE, np.zeros((1, 1, 2, 10)), {"sigmas": 3.5}, [0] * 10),
    # Weighted channels (1, 3, 5) and 2 (1, 3, 5): centred (-2, 0, 2) (1, 2), of length sqrt(5).
    "Grad-CAM, smoothed": (
        "gradcam", LINE, np.array([[[[1.0] * 3, [2.0] * 3]]]), {"eigen_smooth": True},
        [0, 0, 2 * np.sqrt(5)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "activations", "gradients", "options", "expected"), BY_HAND.values(), ids=BY_HAND
)
def test_by_hand(
    method: str, activations: Any, gradients: Any, options: dict[str, Any], expected: list[float]
) -> None:
    maps = METHODS[method](activations, gradients, **options)
    assert maps.dtype == np.float32
    # Rounding of a few float32 operations; 1e-7 for zeros that are differences.
    np.testing.assert_allclose(maps[0, 0], expected, rtol=1e-6, atol=1e-7)


def test_methods_weigh_channels_by_the_mean_gradient() -> None:
    activations = np.array([[[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]]])
    gradients = np.array([[[[3.0, 0.0, 0.0], [0.0, 0.0, -6.0]], [[-1.0, -1.0, -1.0], [0, 0, 0]]]])
    # Weights (1, -2) and (-1, 0) on maps (1, 2, 3) and (1, 0, -1), then ReLU.
    np.testing.assert_array_equal(gradcam(activations, gradients), [[[0, 2, 5], [0, 0, 0]]])


def test_finer_cam_subtracts_the_nearest_classes_among_those_explained() -> None:
    activations = np.eye(3)[None]  # place p shows channel p alone: a map is its weights
    weights = np.array([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 4.0], [4.0, 1.0, 0.0]])
    gradients = np.repeat(weights[None, :, :, None], 3, axis=3)
    # The first is nearest to the last, the second to the first, the third to the second.
    nearest = METHODS["finercam"](activations, gradients, gamma=0.5, references=1, relu=False)
    expected = weights - 0.5 * weights[[3, 0, 1, 0]]
    np.testing.assert_allclose(nearest[0], expected, rtol=1e-6)
    all_others = METHODS["finercam"](activations, gradients)
    others = (weights.sum(axis=0) - weights) / 3
    np.testing.assert_allclose(all_others[0], np.maximum(weights - 0.6 * others, 0), rtol=1e-5)
    plain = METHODS["finercam"](activations, gradients, gamma=0.0)
    np.testing.assert_allclose(plain, gradcam(activations, gradients))


def test_finer_cam_counts_classes_that_are_equally_near_all() -> None:
    activations = np.eye(2)[None]
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    gradients = np.repeat(weights[None, :, :, None], 2, axis=3)
    maps = METHODS["finercam"](activations, gradients, gamma=1.0, references=1, relu=False)
    np.testing.assert_allclose(maps[0], [[1, -1], [0, 0], [0, 0]], atol=1e-7)


def test_hirescam_without_its_relu_sums_up_to_a_linear_heads_score() -> None:
    generator = np.random.default_rng(0)
    activations = generator.normal(size=(2, 4, 3, 5))
    weights = generator.normal(size=(2, 4, 3, 5))
    maps = METHODS["hirescam"](activations, weights[:, None], relu=False)
    scores = (activations * weights).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(maps.sum(axis=(1, 2, 3)), scores, rtol=1e-5)


def test_cam_is_grad_cam_up_to_the_number_of_places_where_it_is_defined() -> None:
    generator = np.random.default_rng(0)
    activations = generator.normal(size=(2, 4, 3, 5))
    gradients = np.broadcast_to(generator.normal(size=(2, 6, 4, 1, 1)), (2, 6, 4, 3, 5))
    maps = METHODS["cam"](activations, gradients)
    assert maps.min() < 0
    np.testing.assert_allclose(
        np.maximum(maps, 0), 15 * gradcam(activations, gradients), rtol=1e-4, atol=1e-5
    )
    assert METHODS["cam"].signed
    with pytest.raises(GraftcamError, match="differs from place to place: use 'gradcam'"):
        METHODS["cam"](ACTIVATIONS, GRADIENTS)


@pytest.mark.parametrize("space", [(7,), (3, 4), (2, 3, 2)], ids=["1-d", "2-d", "3-d"])
@pytest.mark.parametrize(("images", "classes"), [(1, 0), (1, 2), (3, 2)])
@pytest.mark.parametrize("method", FORMULAS)
def test_any_number_of_images_classes_and_axes(
    method: str, images: int, classes: int, space: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(0)
    activations = generator.normal(size=(images, 5, *space)).astype(np.float32)
    gradients = generator.normal(size=(images, classes, 5, *space)).astype(np.float32)
    if method == "cam":
        gradients[...] = gradients.mean(axis=tuple(range(3, gradients.ndim)), keepdims=True)
    before = activations.copy(), gradients.copy()
    maps = METHODS[method](activations, gradients)
    assert maps.shape == (images, classes, *space)
    assert maps.dtype == np.float32
    if not METHODS[method].signed:
        assert not (maps < 0).any()
    # An image's map is its own, and the same in any arrangement of its places.
    places = math.prod(space)
    for row in range(images):
        alone = METHODS[method](
            activations[row].reshape(1, 5, places), gradients[row].reshape(1, classes, 5, places)
        )[0]
        np.testing.assert_allclose(maps[row].reshape(classes, places), alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(activations, before[0])
    np.testing.assert_array_equal(gradients, before[1])


@pytest.mark.parametrize("method", FORMULAS)
def test_no_evidence_is_zero_and_maps_that_are_not_finite_stay_so(method: str) -> None:
    zeros = np.zeros((1, 3, 2, 2), np.float32), np.zeros((1, 2, 3, 2, 2), np.float32)
    maps = METHODS[method](*zeros)
    assert [map_status(raw) for raw in maps[0]] == ["zero", "zero"]
    for broken in (np.nan, np.inf):
        activations = np.ones((2, 3, 2, 2), np.float32)
        activations[0, 1, 1, 1] = broken
        gradients = np.full((2, 2, 3, 2, 2), -1 if method == "counterfactual" else 1, np.float32)
        with np.errstate(invalid="ignore"):
            maps = METHODS[method](activations, gradients)
        assert [map_status(raw) for raw in maps[0]] == ["nonfinite"] * 2
        assert np.isfinite(maps[1]).all()


def test_a_component_is_the_singular_vectors_from_either_side() -> None:
    generator = np.random.default_rng(0)
    for channels, places in ((3, 20), (20, 3), (6, 6)):
        terms = generator.normal(size=(channels, places))
        for centre in (True, False):
            rows = terms - terms.mean(axis=1, keepdims=True) if centre else terms
            _, values, right = np.linalg.svd(rows, full_matrices=False)
            found = first_component(terms, centre=centre)
            sign = np.sign(found @ right[0])
            np.testing.assert_allclose(found, sign * values[0] * right[0], atol=1e-9)
            assert found @ rows.sum(axis=0) >= 0


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("finercam", {"gamma": -1.0}, "gamma=-1.0 is out of range"),
        ("finercam", {"gamma": np.nan}, "gamma=nan: give a number"),
        ("finercam", {"references": 0}, "references=0 is out of range"),
        ("finercam", {}, "explain two or more at once"),
        ("kpcacam", {"kernel": "sigmoidal"}, "unknown kernel 'sigmoidal'; did you mean 'sigmoid'"),
        ("kpcacam", {"gamma": 0.0}, "gamma=0.0 must be a positive number"),
        ("fem", {"sigmas": np.nan}, "sigmas=nan: give a number"),
    ],
)
def test_options_out_of_range_are_refused(
    method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(GraftcamError, match=message):
        METHODS[method](ACTIVATIONS, GRADIENTS, **options)


def test_too_many_places_for_a_kernel_matrix_are_refused() -> None:
    activations = np.zeros((1, 1, 65, 64), np.float32)
    with pytest.raises(GraftcamError, match=r"4160 are too many .* choose a later layer"):
        METHODS["kpcacam"](activations, activations[:, None])


def test_the_baked_map_is_the_methods_definition(explainer: Explainer) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    outputs = explainer.run(image, [[0, 1, 3]])
    maps = METHODS["gradcam"](outputs["activations"], outputs["gradients"])
    assert outputs["heatmap"][:, :2].max() > 0
    np.testing.assert_allclose(maps, outputs["heatmap"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", sorted({*FORMULAS} - {"counterfactual", "eigencam", "kpcacam"}))
def test_every_method_that_knows_the_class_points_at_it(explainer: Explainer, method: str) -> None:
    """Of an image with a red and a green square, `fem` sees both."""
    explanation = explainer.explain(SCENE, ["green", "red"], method=method)
    assert explanation.method == method
    assert explanation.status == ["ok", "ok"]
    if method != "fem":
        cells = [np.unravel_index(raw.argmax(), raw.shape) for raw in explanation.maps]
        assert cells == [(3, 0), (1, 2)]


def test_options_reach_the_method_and_others_are_refused(explainer: Explainer) -> None:
    red = explainer.explain(SCENE, ["empty"], method="gradcam")
    assert red.status == ["zero"]
    signed = explainer.explain(SCENE, ["empty"], method="gradcam", options={"relu": False})
    assert signed.maps.min() < 0
    against = explainer.explain(SCENE, ["empty"], method="counterfactual")
    np.testing.assert_allclose(against.maps, -signed.maps, rtol=1e-6)
    with pytest.raises(GraftcamError, match="'gradcam' takes no option 'gamma'; it takes relu"):
        explainer.explain(SCENE, method="gradcam", options={"gamma": 1})
    with pytest.raises(GraftcamError, match="explain two or more at once"):
        explainer.explain(SCENE, method="finercam")


@pytest.mark.parametrize(
    ("method", "option", "value", "remedy"),
    [
        ("hirescam", "relu", "no", "True or False"),
        ("reciprocam", "gaussian", "yes", "True or False"),
        ("smoothgrad", "noise", "abc", "a number"),
        ("smoothgrad", "noise", np.inf, "a number"),
        ("rise", "masks", "abc", "a whole number"),
        ("rise", "grid", 2.5, "a whole number"),
        ("rise", "p", True, "a number"),
        ("fem", "sigmas", "abc", "a number"),
        ("kpcacam", "gamma", "abc", "a number or None"),
        ("finercam", "references", 2.5, "a whole number"),
        ("shapleycam", "step", np.inf, "a number"),
        ("scorecam", "channels", 2.5, "a whole number or None"),
    ],
)
def test_an_option_of_another_type_is_refused(
    explainer: Explainer, method: str, option: str, value: Any, remedy: str
) -> None:
    message = f"^method '{method}': {option}={value!r}: give {remedy}$"
    for explain in (
        lambda **of: explainer.explain(SCENE, method=method, **of),
        lambda **of: explainer.compare(SCENE, [method, "gradcam"], **of),
    ):
        with pytest.raises(InputError, match=message):
            explain(options={option: value})


def test_other_methods_get_activations_and_gradients(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_method(monkeypatch, "redness", lambda ops, a, g: a[:, :, 0] * np.ones_like(g[:, :, 0]))
    explanation = explainer.explain(SCENE, ["green", "blue"], method="redness")
    assert explanation.method == "redness"
    assert peak(explanation.heatmaps[1]) == (32, 88)


@pytest.mark.filterwarnings("error")
def test_a_map_that_overflows_has_a_status_and_no_warning(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = np.float32(3e38)
    add_method(monkeypatch, "huge", lambda ops, a, g: gradcam.function(ops, a * huge * huge, g))
    assert explainer.explain(SCENE, ["red"], method="huge").status == ["nonfinite"]


def test_the_formulas_need_numpy_alone() -> None:
    """The exporter imports them, and installations without ONNX Runtime or OpenCV may."""
    assert graftcam.runtime.METHODS is METHODS
    code = """
import sys
sys.modules.update(dict.fromkeys(["cv2", "onnxruntime", "torch", "onnx", "scipy", "sklearn"]))
import numpy
from graftcam.runtime.methods import contrast, eigen, fem, local, weighted
from graftcam.runtime.methods.method import Method
layercam = Method(local.layercam, ("activations", "gradients"), "")
print(layercam(numpy.ones((1, 2, 3)), numpy.ones((1, 1, 2, 3))).tolist())
"""
    assert python(code) == "[[[2.0, 2.0, 2.0]]]"


def test_the_table_describes_each_method() -> None:
    for method, record in METHODS.items():
        assert record.signed == record.is_signed({}), method
        assert record.source, method
    assert METHODS["finercam"].options == {
        "gamma": 0.6, "references": 3, "relu": True, "eigen_smooth": False,
    }  # fmt: skip
    assert METHODS["saliency"].options == {}
    assert METHODS["smoothgrad"].options == {"samples": 25, "noise": 0.15, "seed": 0}


def test_what_no_relu_cuts_off_is_signed() -> None:
    assert METHODS["integrated-gradients"].is_signed({})
    assert METHODS["cam"].is_signed({})
    assert not METHODS["cam"].is_signed({"relu": True})
    assert METHODS["hirescam"].is_signed({"relu": False})
    assert not METHODS["hirescam"].is_signed({})
    assert not METHODS["fem"].is_signed({})


def test_a_method_that_runs_the_artifact_is_no_function_of_two_tensors() -> None:
    with pytest.raises(InputError, match="needs activations, head of an artifact: use Expl"):
        METHODS["ablationcam"](ACTIVATIONS, GRADIENTS)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("gradcm", "unknown method 'gradcm'; did you mean 'gradcam'"),
        ("smooth-grad", "unknown method 'smooth-grad'; did you mean 'smoothgrad'"),
        (3, "unknown method '3'; there is gradcam, "),
        (None, "unknown method 'None'; there is gradcam, "),
    ],
)
def test_unknown_methods_are_refused(explainer: Explainer, method: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explainer.explain(SCENE, method=method)
