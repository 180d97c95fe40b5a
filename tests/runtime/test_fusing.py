"""Several layers, several methods and changed copies of an image, and how often the graph runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.explain.fuse_layers import check_fusing, fuse
from graftcam.runtime.methods import dispatch
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render import map_status
from support.artifacts import SCENE, spec, write_artifact, write_segmenter, write_two_layers
from support.methods import add_method, watch_runs


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_two_layers(tmp_path_factory.mktemp("model") / "two.onnx"))


@pytest.fixture
def runs(explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the artifact is fed, run by run."""
    return watch_runs(monkeypatch, explainer)


def maps(*rows: list[float]) -> np.ndarray:
    return np.array([[rows]], np.float32)


def test_layers_are_divided_by_their_maxima_and_brought_to_the_finest_grid() -> None:
    fine = maps([0, 2, 4, 4])
    coarse = maps([100, 0])
    # The coarse map, 1 and 0, at the fine cells' centres: 1, 0.75, 0.25, 0.
    np.testing.assert_allclose(fuse([fine, coarse], "mean"), maps([0.5, 0.625, 0.625, 0.5]))
    np.testing.assert_allclose(fuse([fine, coarse], "max"), maps([1, 0.75, 1, 1]))
    np.testing.assert_allclose(fuse([fine, coarse], "product"), maps([0, 0.375, 0.25, 0]))


def test_grids_of_either_shape_fuse_to_the_finest_of_both_axes() -> None:
    assert fuse([np.ones((2, 3, 8, 2)), np.ones((2, 3, 4, 6))], "mean").shape == (2, 3, 8, 6)
    assert fuse([np.ones((2, 0, 8, 2)), np.ones((2, 0, 4, 6))], "max").shape == (2, 0, 8, 6)


def test_one_layer_stays_as_it_is() -> None:
    raw = maps([-3, 7])
    assert fuse([raw], "product") is raw


def test_negative_values_count_only_in_signed_maps() -> None:
    one, other = maps([-4, 2, 4]), maps([-1, -1, 0.5])
    np.testing.assert_allclose(fuse([one, other], "mean"), maps([0, 0.25, 1]))
    # Relative to the largest magnitudes: (-1, 0.5, 1) and (-1, -1, 0.5).
    np.testing.assert_allclose(fuse([one, other], "mean", signed=True), maps([-1, -0.25, 0.75]))
    np.testing.assert_allclose(fuse([one, other], "max", signed=True), maps([-1, -0.5, 1]))
    np.testing.assert_allclose(fuse([one, other], "product", signed=True), maps([-1, 0, 0.5]))


def test_layers_that_disagree_everywhere_leave_nothing_of_their_product() -> None:
    fused = fuse([maps([1, 0, 0, 0]), maps([0, 0, 0, 3])], "product")
    assert map_status(fused[0, 0]) == "zero"


def stretched(one: np.ndarray) -> np.ndarray:
    """RefineCAM's scale of a map: from its smallest to its largest value."""
    return (one - one.min()) / (one.max() - one.min())


def test_refine_is_the_product_of_maps_from_their_smallest_to_their_largest_value() -> None:
    """Domeniconi et al. 2026: what a layer sees everywhere is no evidence of a place."""
    fine, coarse = maps([4, 2, 3, 2]), maps([100, 50])
    on_the_fine_grid = maps([100, 87.5, 62.5, 50])
    expected = stretched(fine) * stretched(on_the_fine_grid)
    np.testing.assert_allclose(fuse([fine, coarse], "refine"), expected, rtol=1e-6)
    np.testing.assert_allclose(expected, maps([1, 0, 0.125, 0]))
    # The product keeps what both layers see everywhere.
    assert fuse([fine, coarse], "product").min() >= 0.25


def test_refine_scales_each_map_of_each_image_and_class_by_itself() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.uniform(1, 5, (2, 2, 3, 4, 4)).astype(np.float32)
    found = fuse([one, other], "refine")
    for place in np.ndindex(2, 3):
        expected = stretched(one[place]) * stretched(other[place])
        np.testing.assert_allclose(found[place], expected, atol=1e-6)


def test_a_layer_that_is_the_same_everywhere_refines_nothing() -> None:
    """Rounding would be stretched into a pattern."""
    flat = maps([3, 3 * (1 + 2e-7), 3])
    np.testing.assert_allclose(
        fuse([maps([1, 3, 2]), flat], "refine"), maps([0, 1, 0.5]), rtol=1e-6
    )
    none = fuse([maps([1, 3, 2]), maps([0, 0, 0])], "refine")
    assert map_status(none[0, 0]) == "zero"


def test_signed_maps_are_refined_from_zero() -> None:
    one, other = maps([-4, 2, 4]), maps([1, 1, 0.5])
    np.testing.assert_allclose(
        fuse([one, other], "refine", signed=True), fuse([one, other], "product", signed=True)
    )


@pytest.mark.parametrize("how", ["mean", "max", "product", "refine"])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_layer_breaks_the_fused_map(how: Any, broken: float) -> None:
    fused = fuse([maps([1, 2]), maps([broken, 1])], how)
    assert map_status(fused[0, 0]) == "nonfinite"


def test_a_layer_without_evidence_counts_as_zeros() -> None:
    layers = [maps([1, 2]), maps([0, 0])]
    np.testing.assert_allclose(fuse(layers, "mean"), maps([0.25, 0.5]))
    np.testing.assert_allclose(fuse(layers, "max"), maps([0.5, 1]))


def test_grids_along_the_input_in_different_orders_are_refused() -> None:
    layer = spec().layers[0]
    check_fusing([layer, replace(layer, name="other")])
    with pytest.raises(InputError, match=r"layers .*, turned run along the input's axes in differ"):
        check_fusing([layer, replace(layer, name="turned", input_axes=[3, 2])])


def test_an_explanation_by_several_layers_is_their_fused_maps_from_one_run(
    explainer: Explainer, runs: list[dict[str, Any]]
) -> None:
    alone = [explainer.explain(SCENE, ["red", "green"], layer=name) for name in ("fine", "coarse")]
    runs.clear()
    for how in ("mean", "max", "product", "refine"):
        found = explainer.explain(SCENE, ["red", "green"], layer=["fine", "coarse"], fuse=how)
        expected = fuse([one.maps[None] for one in alone], how)[0]
        np.testing.assert_allclose(found.maps, expected, rtol=1e-6)
        assert found.maps.shape == (2, 8, 8)
        assert found.layer == f"{how} of fine, coarse"
        assert found.status == ["ok", "ok"]
    assert len(runs) == 4


def test_a_product_without_agreement_is_reported_as_zero(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_or_right(ops: Any, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        made = np.zeros_like(gradients[:, :, 0])
        made[..., slice(0, None, 8) if made.shape[-1] == 64 else slice(3, None, 4)] = 1
        return made

    add_method(monkeypatch, "left-or-right", left_or_right)
    options = {"method": "left-or-right", "fuse": "product"}
    found = explainer.explain(SCENE, layer=["fine", "coarse"], **options)
    assert found.status == ["zero"]
    assert not found.heatmaps.any()


def test_layers_and_ways_to_fuse_that_are_none_are_refused(explainer: Explainer) -> None:
    with pytest.raises(InputError, match="unknown layer 'fin'; did you mean 'fine'"):
        explainer.explain(SCENE, layer=["coarse", "fin"])
    with pytest.raises(
        InputError, match="unknown way to fuse 'sum'; there is mean, max, product, refine"
    ):
        explainer.explain(SCENE, fuse="sum")  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(InputError, match="an empty list of layers"):
        explainer.explain(SCENE, layer=[])
    one = explainer.explain(SCENE, layer=["fine", "fine"])
    np.testing.assert_array_equal(one.maps, explainer.explain(SCENE, layer="fine").maps)


@pytest.mark.parametrize("augment", ["flip", "scale", ["scale", "flip"], True])
def test_augmentation_changes_nothing_for_an_equivariant_model(
    explainer: Explainer, augment: Any
) -> None:
    """The model commutes with the flip, and its maps grow with the factors, whose mean is 1."""
    plain = explainer.explain([SCENE, SCENE[::-1]], top=2, layer="fine")
    changed = explainer.explain([SCENE, SCENE[::-1]], top=2, layer="fine", augment=augment)
    for one, other in zip(plain, changed, strict=True):
        assert one.classes == other.classes
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_allclose(other.maps, one.maps, rtol=1e-5, atol=1e-7)
    assert changed[0].augment == {"flip": ("flip",), "scale": ("scale",)}.get(
        str(augment), ("flip", "scale")
    )


def test_augmented_runs_explain_the_plain_images_classes(
    explainer: Explainer, runs: list[dict[str, Any]]
) -> None:
    found = explainer.explain(SCENE, top=2, augment=True)
    name = explainer.spec.class_index
    assert [run[name].tolist() for run in runs] == [[[-1, -2]], [found.classes]]
    # One image and two classes: five changed copies fit into a run.
    assert [len(run["image"]) for run in runs] == [1, 5]
    assert found.to_dict()["augment"] == ["flip", "scale"]


def test_a_mean_over_flips_is_symmetric_where_the_map_does_not_follow(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(ops: Any, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        made = np.zeros_like(gradients[:, :, 0])
        made[..., ::8] = 1
        return made

    add_method(monkeypatch, "left", left)
    found = explainer.explain(SCENE, method="left", augment="flip")
    np.testing.assert_array_equal(found.maps[0, :, 0], 0.5)
    np.testing.assert_array_equal(found.maps[0, :, -1], 0.5)
    assert found.maps.sum() == 8


def test_a_region_is_flipped_with_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Cell by cell, so that the map shows where the region was.
    add_method(monkeypatch, "cells", lambda ops, a, g: ops.sum(g * a, 2))
    explainer = Explainer(write_segmenter(tmp_path / "a.onnx"))
    mask = np.zeros(SCENE.shape[:2], np.bool_)
    mask[:, 80:] = True
    plain = explainer.explain(SCENE, "red", method="cells", region=mask)
    changed = explainer.explain(SCENE, "red", method="cells", region=mask, augment="flip")
    assert (plain.maps[0, :, :2] == 0).all()
    assert plain.maps.max() > 0
    np.testing.assert_allclose(changed.maps, plain.maps, rtol=1e-5)


def test_an_unknown_augmentation_is_refused(explainer: Explainer) -> None:
    with pytest.raises(InputError, match="unknown augmentation 'rotate'; there is flip, scale"):
        explainer.explain(SCENE, augment="rotate")


def test_comparing_methods_takes_one_run_and_gives_what_each_gives_alone(
    explainer: Explainer, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def power(ops: Any, a: np.ndarray, g: np.ndarray, *, exponent: float = 1) -> np.ndarray:
        return METHODS["gradcam"].function(ops, a, g) ** exponent

    add_method(monkeypatch, "power", power)
    methods = ["power", "gradcam"]
    both = explainer.compare(SCENE, methods, classes=["red", "blue"], options={"exponent": 2})
    assert len(runs) == 1
    assert [one.method for one in both] == methods
    alone = [
        explainer.explain(SCENE, ["red", "blue"], method="power", options={"exponent": 2}),
        explainer.explain(SCENE, ["red", "blue"]),
    ]
    for one, other in zip(both, alone, strict=True):
        np.testing.assert_array_equal(one.maps, other.maps)
        np.testing.assert_array_equal(one.scores, other.scores)
    with pytest.raises(InputError, match="none of the methods power, gradcam takes 'samples'"):
        explainer.compare(SCENE, methods, options={"samples": 3})
    with pytest.raises(InputError, match="one image and a list of one or more methods"):
        explainer.compare(SCENE, [])


def test_progress_counts_up_once_over_all_augmented_runs(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(batch: dispatch.MethodInput) -> dispatch.MethodOutput:
        for done in (1, 2):
            batch.progress(done, 2)
        return dispatch.run_method(batch, "gradcam", {})

    add_method(monkeypatch, "twice", twice, ("images",))
    calls: list[tuple[int, int]] = []
    explainer.explain(
        SCENE, method="twice", augment="flip", progress=lambda *counts: calls.append(counts)
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_signed_methods_give_signed_explanations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer(write_artifact(tmp_path / "a.onnx"))
    add_method(monkeypatch, "minus", lambda *all: -METHODS["gradcam"].function(*all))
    assert explainer.explain(SCENE, "red", method="minus").status == ["zero"]
    add_method(monkeypatch, "minus", METHODS["minus"].function, signed=True)
    found = explainer.explain(SCENE, "red", method="minus")
    assert found.signed
    assert found.status == ["ok"]
    # No pixel's centre is the strongest cell's.
    assert -1 <= found.heatmaps.min() < -0.9
    assert found.heatmaps.max() == 0
